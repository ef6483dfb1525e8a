// Unfolds what a link points at, and filters.
(() => {
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener('hashchange', unfold);
  unfold();

  const box = document.querySelector('.filter');
  const input = box.querySelector('input');
  const status = box.querySelector('[role=status]');
  const operations = [...document.querySelectorAll('details.op')];
  const texts = operations.map((operation) => operation.querySelector('summary').textContent.toLowerCase());
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    operations.forEach((operation, at) => {
      operation.hidden = !words.every((word) => texts[at].includes(word));
      shown += operation.hidden ? 0 : 1;
    });
    for (const section of document.querySelectorAll('#operations > section')) {
      section.hidden = !section.querySelector('details.op:not([hidden])');
    }
    status.textContent = words.length === 0 ? '' : shown === 0 ? 'No operation has these words' : `${shown} of ${operations.length}`;
  };
  box.hidden = false;
  input.addEventListener('input', filter);
  filter();
})();
