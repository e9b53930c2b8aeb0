import { call, get, part, post } from "./http";
import type { Labels, Page, Role, User } from "./types";

/** One thing at a time. `labels` are all that limit the user from then on. */
type UserChange = { role: Role } | { password: string } | { labels: Labels };

export const listUsers = (): Promise<Page<User>> => get("/users", { query: { limit: 1000 } });
export const addUser = (name: string, role: Role, password: string, labels: Labels = {}): Promise<User> =>
  post("/users", { name, role, password, labels });
export const changeUser = (name: string, change: UserChange): Promise<User> =>
  call("PATCH", `/users/${part(name)}`, change);
export const removeUser = (name: string): Promise<void> => call("DELETE", `/users/${part(name)}`);
