/** A page that is one table, searched by what is typed. */
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import type { ApiError } from "../api/http";
import { Empty, Loading, Trouble } from "./basics";

interface ListingProps<T> {
  title: string;
  /** What stands beside the title. */
  sub?: ComponentChildren;
  /** What it lists, for when the server does not. */
  what: string;
  /** undefined until they are loaded. */
  rows: T[] | undefined;
  error: ApiError | undefined;
  search: { label: string; placeholder: string };
  /** Whether a row has to do with a word. */
  mentions: (row: T, word: string) => boolean;
  /** Shown where there are no rows at all. */
  none: ComponentChildren;
  table: (rows: T[]) => ComponentChildren;
  /** What stands beneath the table. */
  foot?: ComponentChildren;
}

export function Listing<T>(props: ListingProps<T>): JSX.Element {
  const { title, sub, what, rows, error, search, mentions, none, table, foot } = props;
  const [word, setWord] = useState("");
  const sought = word.trim().toLowerCase();
  const shown = sought ? rows?.filter((row) => mentions(row, sought)) : rows;
  return (
    <div class="page">
      <header class="head">
        <h1>{title}</h1>
        {sub}
      </header>
      {error && <Trouble error={error} what={what} />}
      {!rows && !error && <Loading />}
      {rows && !rows.length && none}
      {rows && rows.length > 0 && (
        <div class="tools">
          <input
            type="search"
            placeholder={search.placeholder}
            aria-label={search.label}
            value={word}
            onInput={(event) => setWord(event.currentTarget.value)}
          />
        </div>
      )}
      {rows && rows.length > 0 && !shown?.length && <Empty title="Nothing fits" />}
      {shown && shown.length > 0 && table(shown)}
      {foot}
    </div>
  );
}
