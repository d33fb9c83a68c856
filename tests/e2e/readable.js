// What somebody who sees little, uses no mouse or holds a phone would stumble over; a list of complaints.
(() => {
  const found = [];
  const say = (what, node) => found.push(`${what}: ${node.outerHTML.slice(0, 120)}`);
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) found.push(`wider than the screen: ${page.scrollWidth}`);
  if (!page.lang || !document.title) found.push("no language or title");

  const levels = [...document.querySelectorAll("h1,h2,h3,h4")].map((node) => Number(node.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1 || levels[0] !== 1) found.push(`headings begin ${levels}`);
  if (levels.some((level, index) => index && level > levels[index - 1] + 1)) found.push(`a level is left out: ${levels}`);
  for (const name of ["body > header", "main"]) {
    if (document.querySelectorAll(name).length !== 1) found.push(`not one ${name}`);
  }
  document.querySelectorAll("nav:not([aria-label])").forEach((node) => say("a nav without a name", node));
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  if (new Set(ids).size !== ids.length) found.push("an id twice");

  for (const node of document.querySelectorAll("a[href], button, input")) {
    const { height } = node.getBoundingClientRect();
    const inText = node.tagName === "A" && getComputedStyle(node).display === "inline";
    if (height < 24 && node.type !== "checkbox" && !inText) say(`too small to hit, ${height}`, node);
  }

  for (const box of document.querySelectorAll(".card, .move, tbody td, tbody th")) {
    const edge = box.getBoundingClientRect().right - (box.matches(".card, .move") ? 8 : 0);
    const out = [...box.querySelectorAll("*:not(.unseen)")].find((node) => node.getBoundingClientRect().right > edge);
    if (out) say("sticks out of its box", out);
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (under, color) => {
    for (const each of [under, color]) {
      canvas.fillStyle = each;
      canvas.fillRect(0, 0, 1, 1);
    }
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return `rgb(${r}, ${g}, ${b})`;
  };
  const light = (color) => {
    const [r, g, b] = color.match(/\d+/g).map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const grounds = new Map();
  const ground = (node) => {
    if (!node) return "white";
    if (!grounds.has(node)) grounds.set(node, over(ground(node.parentElement), getComputedStyle(node).backgroundColor));
    return grounds.get(node);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    const style = getComputedStyle(node);
    const drawn = node instanceof SVGElement;
    if (!text.data.trim() || !node.checkVisibility({ visibilityProperty: true })) continue;
    if (node.closest(".unseen, .skip, :disabled, svg title")) continue;
    const under = ground(drawn ? node.closest("svg") : node);
    const [a, b] = [light(over(under, drawn ? style.fill : style.color)), light(under)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (size < 12) say(`letters of ${size} px`, node);
    if (contrast < (large ? 3 : 4.5)) say(`contrast ${contrast.toFixed(2)}`, node);
  }
  return found;
})();
