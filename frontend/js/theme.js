// Monaco themes made from the design tokens; both are defined again on every change so that edited tokens show.
import { editor } from 'monaco-editor/editor/editor.api.js';
import { openTokens } from './tokens.js';

const SYNTAX = {
  '': '--syn-text',
  keyword: '--syn-keyword',
  'keyword.operator': '--syn-punct',
  storage: '--syn-keyword',
  tag: '--syn-keyword',
  metatag: '--syn-keyword',
  'metatag.content': '--syn-string',
  string: '--syn-string',
  'string.escape': '--syn-const',
  regexp: '--syn-const',
  'attribute.value': '--syn-string',
  'attribute.name': '--syn-func',
  number: '--syn-number',
  'attribute.value.number': '--syn-number',
  'attribute.value.unit': '--syn-number',
  constant: '--syn-const',
  'variable.predefined': '--syn-const',
  function: '--syn-func',
  'support.function': '--syn-func',
  annotation: '--syn-func',
  key: '--syn-func',
  'string.key.json': '--syn-func',
  'string.value.json': '--syn-string',
  'keyword.json': '--syn-const',
  type: '--syn-type',
  'type.identifier': '--syn-type',
  namespace: '--syn-type',
  'keyword.type': '--syn-type',
  comment: '--syn-comment',
  delimiter: '--syn-punct',
  operator: '--syn-punct',
  'delimiter.bracket': '--syn-punct',
};

const COLOURS = {
  'editor.background': '--bg-editor',
  'editor.foreground': '--syn-text',
  'editorGutter.background': '--bg-editor',
  'editor.lineHighlightBackground': '--ed-line',
  'editor.lineHighlightBorder': null,
  'editor.selectionBackground': '--ed-selection',
  'editor.inactiveSelectionBackground': '--ed-selection',
  'editor.findMatchBackground': '--ed-match',
  'editor.findMatchHighlightBackground': '--ed-match',
  'editor.wordHighlightBackground': '--bg-active',
  'editor.wordHighlightStrongBackground': '--bg-active',
  'editorLineNumber.foreground': '--text-3',
  'editorLineNumber.activeForeground': '--text',
  'editorCursor.foreground': '--accent-text',
  'editorIndentGuide.background1': '--ed-guide',
  'editorIndentGuide.activeBackground1': '--line-strong',
  'editorWhitespace.foreground': '--ed-guide',
  'editorBracketMatch.background': '--bg-active',
  'editorBracketMatch.border': '--line-strong',
  'editorError.foreground': '--bad-text',
  'editorWarning.foreground': '--warn-text',
  'editorInfo.foreground': '--accent-text',
  'editorLink.activeForeground': '--accent-text',
  'editorWidget.background': '--bg-raised',
  'editorWidget.foreground': '--text',
  'editorWidget.border': '--line',
  'editorSuggestWidget.selectedBackground': '--accent-soft',
  'editorSuggestWidget.selectedForeground': '--text',
  'editorSuggestWidget.highlightForeground': '--accent-text',
  'editorHoverWidget.background': '--bg-raised',
  'editorHoverWidget.border': '--line',
  'editorStickyScroll.background': '--bg-editor',
  'editorOverviewRuler.border': '--line-soft',
  'diffEditor.insertedLineBackground': '--diff-add-bg',
  'diffEditor.insertedTextBackground': '--diff-add-word',
  'diffEditor.removedLineBackground': '--diff-del-bg',
  'diffEditor.removedTextBackground': '--diff-del-word',
  'diffEditorGutter.insertedLineBackground': '--diff-add-bg',
  'diffEditorGutter.removedLineBackground': '--diff-del-bg',
  'diffEditor.border': '--line',
  'diffEditor.unchangedRegionBackground': '--bg-panel',
  'diffEditor.unchangedRegionForeground': '--text-3',
  'menu.background': '--bg-raised',
  'menu.foreground': '--text',
  'menu.selectionBackground': '--accent-soft',
  'menu.selectionForeground': '--text',
  'menu.border': '--line',
  'menu.separatorBackground': '--line',
  'quickInput.background': '--bg-raised',
  'quickInput.foreground': '--text',
  'quickInputList.focusBackground': '--accent-soft',
  'quickInputList.focusForeground': '--text',
  'list.hoverBackground': '--bg-hover',
  'list.focusBackground': '--accent-soft',
  'list.activeSelectionBackground': '--accent-soft',
  'list.activeSelectionForeground': '--text',
  'list.highlightForeground': '--accent-text',
  'input.background': '--bg-raised',
  'input.foreground': '--text',
  'input.border': '--line-strong',
  'input.placeholderForeground': '--text-3',
  'inputOption.activeBackground': '--accent-soft',
  'inputOption.activeBorder': '--accent-line',
  focusBorder: '--focus',
  foreground: '--text',
  'icon.foreground': '--text-2',
  descriptionForeground: '--text-2',
  errorForeground: '--bad-text',
  'textLink.foreground': '--accent-text',
  'scrollbar.shadow': null,
  'scrollbarSlider.background': '--bg-active',
  'scrollbarSlider.hoverBackground': '--bg-active',
  'scrollbarSlider.activeBackground': '--line-strong',
  'widget.shadow': '--shadow-ink',
};

function defineTheme(scheme) {
  const tokens = openTokens(scheme);
  try {
    const rules = Object.entries(SYNTAX).map(([token, name]) => ({ token, foreground: tokens.hex(name).slice(1, 7) }));
    const colors = Object.fromEntries(
      Object.entries(COLOURS).map(([key, name]) => [key, name === null ? '#00000000' : tokens.hex(name)]),
    );
    editor.defineTheme(`cloudxdevai-${scheme}`, {
      base: scheme === 'dark' ? 'vs-dark' : 'vs',
      inherit: true,
      rules,
      colors,
    });
  } finally {
    tokens.free();
  }
}

/** @param {'light'|'dark'} scheme */
export function applyTheme(scheme) {
  defineTheme(scheme);
  editor.setTheme(`cloudxdevai-${scheme}`);
}
