// What a journey gets: servers, pages that are watched for errors, steps that are counted.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { artefacts, ModelServer, S3Server, Server } from './processes.mjs';

export const DESK = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** The router listens to the history when it starts, in the same task in which the page is brought to life. */
function noteHydration() {
  const listen = window.addEventListener;
  window.addEventListener = function (type, ...rest) {
    if (type === 'popstate') requestAnimationFrame(() => setTimeout(() => (window.__alive = true)));
    return listen.call(this, type, ...rest);
  };
}

export class Journey {
  constructor(name, browser, report) {
    this.name = name;
    this.browser = browser;
    this.report = report;
    this.passed = 0;
    this.servers = [];
    this.helpers = [];
    this.contexts = [];
    this.problems = [];
  }

  async server(env = {}, options = {}) {
    const server = await Server.start(env, `${this.name}-${this.servers.length + 1}`, options);
    this.servers.push(server);
    return server;
  }

  async model() {
    const model = await ModelServer.start();
    this.helpers.push(model);
    return model;
  }

  async s3() {
    const s3 = await S3Server.start();
    this.helpers.push(s3);
    return s3;
  }

  /** Runs and counts one step; the first that fails ends the journey. */
  async step(title, work) {
    this.doing = title;
    const began = Date.now();
    await work();
    this.passed += 1;
    this.report.passed += 1;
    this.report.steps.push({ journey: this.name, step: title, ms: Date.now() - began });
  }

  /** A browser profile of its own. `allow` are console messages that the journey provokes. */
  async profile({ base, allow = [], dark = false, size = DESK, ...more }) {
    const context = await this.browser.newContext({
      baseURL: base,
      viewport: size,
      colorScheme: dark ? 'dark' : 'light',
      reducedMotion: 'reduce',
      ...more,
    });
    context.setDefaultTimeout(15_000);
    context.allow = allow;
    await context.addInitScript(noteHydration);
    context.on('page', (page) => this.watch(page, context));
    this.contexts.push(context);
    return context;
  }

  async page(options) {
    return (await this.profile(options)).newPage();
  }

  watch(page, context) {
    const note = (kind, text) => {
      if (!context.allow.some((allowed) => allowed.test(text))) this.problems.push(`${kind} on ${page.url()}: ${text.slice(0, 500)}`);
    };
    page.on('console', (message) => {
      if (message.type() === 'error') note('console error', `${message.text()} ${message.location()?.url ?? ''}`);
    });
    page.on('pageerror', (error) => note('page error', String(error.stack ?? error)));
    page.on('crash', () => note('crash', 'the page crashed'));
  }

  async shot(page, name) {
    const file = path.join(artefacts, 'screens', `${name}.png`);
    await mkdir(path.dirname(file), { recursive: true });
    await page.screenshot({ path: file });
  }

  /** Shows what the pages looked like when a step failed. */
  async shootFailure() {
    let number = 0;
    for (const page of this.contexts.flatMap((context) => context.pages())) {
      number += 1;
      await page.screenshot({ path: path.join(artefacts, `failed-${this.name}-${number}.png`), timeout: 5_000 }).catch(() => {});
    }
  }

  /** What the pages announce and the servers complained about: most failures are told there first. */
  async lastWords() {
    const lines = [];
    for (const page of this.contexts.flatMap((context) => context.pages())) {
      const told = await page.locator('[role=alert], [role=status]').allInnerTexts().catch(() => []);
      for (const text of told) if (text.trim()) lines.push(`${page.url()} says: ${text.trim().replaceAll('\n', ' ')}`);
    }
    for (const { log } of this.servers) {
      const text = await readFile(log, 'utf8').catch(() => '');
      lines.push(...text.split('\n').filter((line) => /WARN|ERROR|panicked/.test(line)).slice(-5));
    }
    return lines;
  }

  async noErrors() {
    assert.deepEqual(this.problems, [], 'the console stays empty');
    for (const { log } of this.servers) assert.doesNotMatch(await readFile(log, 'utf8'), /panicked at/, 'no part of the server breaks');
  }

  async close() {
    await Promise.all(this.contexts.map((context) => context.close().catch(() => {})));
    await Promise.all([...this.servers, ...this.helpers].map((started) => started.stop()));
  }
}
