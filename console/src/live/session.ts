/** Who is logged in. */
import { computed, signal } from "@preact/signals";
import { ApiError, whenLoggedOut } from "../api/http";
import * as api from "../api/session";
import type { Me } from "../api/types";

/** undefined: not known yet; null: nobody. */
export const user = signal<Me | null | undefined>(undefined);
export const server = signal<api.Server | undefined>(undefined);
/** Why nobody could be asked, where it is not that nobody is logged in. */
export const trouble = signal("");

export const canOperate = computed(() => user.value?.role === "admin" || user.value?.role === "operator");
export const canAdminister = computed(() => user.value?.role === "admin");

whenLoggedOut(() => {
  user.value = null;
});

export async function begin(): Promise<void> {
  try {
    await enter(await api.me());
    trouble.value = "";
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) user.value = null;
    else {
      trouble.value = error instanceof Error ? error.message : String(error);
      setTimeout(begin, 3000);
    }
  }
}

export async function login(username: string, password: string): Promise<void> {
  await enter(await api.login(username, password));
}

export async function logout(): Promise<void> {
  await api.logout();
  user.value = null;
}

async function enter(who: Me): Promise<void> {
  user.value = who;
  try {
    server.value = await api.server();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}
