/** Keys that work everywhere outside of fields. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { go } from "../router";
import { Dialog } from "./dialog";
import { PLACES } from "./nav";

const isHelpOpen = signal(false);
let isGoing = false;

export function Keys(): JSX.Element | null {
  useEffect(() => {
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  return isHelpOpen.value ? <Help /> : null;
}

function press(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.closest("input, textarea, select, dialog")) return;
  if (isGoing) {
    isGoing = false;
    const place = PLACES.find((one) => one.key === event.key);
    if (place) go(place.href);
  } else if (event.key === "g") {
    isGoing = true;
  } else if (event.key === "/") {
    event.preventDefault();
    document.querySelector<HTMLInputElement>("input[type=search]")?.focus();
  } else if (event.key === "?") {
    isHelpOpen.value = true;
  } else if (event.key === "ArrowDown" && target === document.body) {
    document.querySelector<HTMLElement>(".virtual-row a")?.focus();
  }
}

function Help(): JSX.Element {
  return (
    <Dialog
      title="Keys"
      onClose={() => {
        isHelpOpen.value = false;
      }}
    >
      <dl class="keys">
        <Key keys={["/"]} does="Search" />
        <Key keys={["↑", "↓"]} does="From row to row" />
        <Key keys={["Enter"]} does="Open" />
        {PLACES.map((place) => (
          <Key key={place.key} keys={["g", place.key]} does={place.name} />
        ))}
        <Key keys={["?"]} does="This list" />
      </dl>
    </Dialog>
  );
}

function Key({ keys, does }: { keys: string[]; does: string }): JSX.Element {
  return (
    <div>
      <dt>
        {keys.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </dt>
      <dd>{does}</dd>
    </div>
  );
}
