/** Command lines: split as a shell would split them, and nothing else that a shell does. */

const PLAIN = /^[\w@%+=:,./-]+$/;

/**
 * Split a line into words by spaces, quotes and backslashes (POSIX.1-2024 2.2).
 *
 * @throws Error where a quote is not closed.
 */
export function split(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; at += 1) {
    const letter = line.charAt(at);
    if (/\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (letter === "'" || letter === '"') {
      const [text, end] = quoted(line, at, letter);
      word = (word ?? "") + text;
      at = end;
    } else if (letter === "\\") {
      at += 1;
      word = (word ?? "") + line.charAt(at);
    } else {
      word = (word ?? "") + letter;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function quoted(line: string, start: number, quote: string): [string, number] {
  let text = "";
  for (let at = start + 1; at < line.length; at += 1) {
    const letter = line.charAt(at);
    if (letter === quote) return [text, at];
    if (quote === '"' && letter === "\\" && /["\\$`]/.test(line.charAt(at + 1))) {
      at += 1;
      text += line.charAt(at);
    } else {
      text += letter;
    }
  }
  throw new Error(`The ${quote} is not closed.`);
}

/** The line that splits into these words. */
export function join(words: string[]): string {
  return words.map((word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}
