// The API, with the session's cookie.

export class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail ?? "The portal did not answer as expected.");
    this.status = status;
    this.missing = problem.missing ?? [];
  }
}

// `body` goes as JSON, `file` as the CSV that it is.
export async function api(path, { method = "GET", body, file, wait } = {}) {
  const headers = { Accept: "application/json", "X-Leadflow": "page" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (file) headers["Content-Type"] = "text/csv";
  if (method !== "GET") headers["Idempotency-Key"] = crypto.randomUUID();
  if (wait) headers.Prefer = `wait=${wait}`;
  let response;
  try {
    response = await fetch(`/api/v1${path}`, { method, headers, body: file ?? (body === undefined ? undefined : JSON.stringify(body)) });
  } catch {
    throw new Refused({ detail: "The portal cannot be reached. Check the connection and try again." }, 0);
  }
  if (response.status === 401) {
    location.assign("/login");
    return new Promise(() => {});
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(answer, response.status);
  return answer;
}

export const path = (...parts) => "/" + parts.map(encodeURIComponent).join("/");
