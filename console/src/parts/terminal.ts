/** Shows what programs write: colours, a bounded number of lines, and one change of the page a frame. */

const KEPT_LINES = 5000;
const ESCAPE = String.fromCharCode(27);
/** Colours and styles (ECMA-48 8.3.117), and every other control sequence, which only a real terminal could follow. */
const SEQUENCES = new RegExp(
  `${ESCAPE}\\[([0-9;]*)m|${ESCAPE}\\[[0-9;?]*[ -/]*[@-~]|${ESCAPE}\\][^\\u0007${ESCAPE}]*(?:\\u0007|${ESCAPE}\\\\)|${ESCAPE}[@-Z\\\\^_]`,
  "g",
);

export interface Piece {
  text: string;
  style: string;
}

/** Cut text into pieces of one style each; `before` is the style that it begins with. */
export function pieces(text: string, before: string): Piece[] {
  const found: Piece[] = [];
  let style = before;
  let from = 0;
  for (const match of text.matchAll(SEQUENCES)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index), style });
    if (match[1] !== undefined) style = restyled(style, match[1]);
    from = match.index + match[0].length;
  }
  found.push({ text: text.slice(from), style });
  return found;
}

function restyled(before: string, codes: string): string {
  let classes = before.split(" ").filter(Boolean);
  for (const code of (codes || "0").split(";").map(Number)) {
    if (code === 0) classes = [];
    else if (code === 1) classes.push("ansi-bold");
    else if (code === 22) classes = classes.filter((name) => name !== "ansi-bold");
    else if (code === 39) classes = classes.filter((name) => !/^ansi-\d/.test(name));
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) {
      classes = [...classes.filter((name) => !/^ansi-\d/.test(name)), `ansi-${code % 10}`];
    }
  }
  return [...new Set(classes)].join(" ");
}

export class Terminal {
  #waiting: Piece[] = [];
  #styles = { stdout: "", stderr: "" };
  #frame = 0;
  #lines = 0;
  isFollowing = true;

  constructor(readonly element: HTMLElement) {
    element.addEventListener("scroll", () => {
      this.isFollowing = element.scrollTop + element.clientHeight > element.scrollHeight - 24;
    });
  }

  write(stream: "stdout" | "stderr", text: string): void {
    const found = pieces(text.replaceAll("\r\n", "\n"), this.#styles[stream]);
    this.#styles[stream] = found.at(-1)?.style ?? "";
    const extra = stream === "stderr" ? " stderr" : "";
    this.#waiting.push(
      ...found.filter((piece) => piece.text).map((piece) => ({ ...piece, style: piece.style + extra })),
    );
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  clear(): void {
    this.element.replaceChildren();
    this.#waiting = [];
    this.#lines = 0;
  }

  #show(): void {
    this.#frame = 0;
    const fragment = document.createDocumentFragment();
    for (const { text, style } of this.#waiting) {
      const node = document.createElement("span");
      node.className = style;
      node.textContent = text;
      node.dataset.lines = String(text.split("\n").length - 1);
      this.#lines += Number(node.dataset.lines);
      fragment.append(node);
    }
    this.#waiting = [];
    this.element.append(fragment);
    while (this.#lines > KEPT_LINES && this.element.childElementCount > 1) {
      const first = this.element.firstElementChild as HTMLElement;
      this.#lines -= Number(first.dataset.lines);
      first.remove();
    }
    if (this.isFollowing) this.element.scrollTop = this.element.scrollHeight;
  }
}
