/** Enrolment keys, and the lines that use them. */
import { call, get, part, post } from "./http";
import type { Enrolment, MadeEnrolment, NewEnrolment, Page } from "./types";

export const listEnrolments = (): Promise<Page<Enrolment>> => get("/enrolments", { query: { limit: 100 } });
export const addEnrolment = (wanted: NewEnrolment): Promise<MadeEnrolment> => post("/enrolments", wanted);
export const endEnrolment = (id: string): Promise<void> => call("DELETE", `/enrolments/${part(id)}`);
