import { render } from "preact";
import { App } from "./app";
import { begin } from "./live/session";
import { apply } from "./live/theme";
import { start } from "./router";

apply();
start();
void begin();
render(<App />, document.getElementById("app") as HTMLElement);
