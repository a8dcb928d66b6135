// Passkeys: get a challenge, send the authenticator's response, then go to the next page.
// The buttons stay hidden if the browser does not support passkeys.
const supported =
  typeof PublicKeyCredential === "function" &&
  "parseRequestOptionsFromJSON" in PublicKeyCredential;

async function post(url, body, token) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
  });
  const result = await response.json().catch(() => ({}));
  if (response.ok) return result;
  if (result.error?.code === "sign_in_again") location.reload();
  throw new Error(result.error?.message ?? "Something went wrong. Try again in a moment.");
}

// The authenticator's own messages do not help users, and most mean that the window was closed.
function describe(error) {
  if (error.name === "InvalidStateError") return "You already have a passkey on this device.";
  if (error instanceof DOMException) return "The passkey wasn't used. Try again when you're ready.";
  return error.message;
}

async function attempt(container, button, steps) {
  const message = container.querySelector("[data-message]");
  message.hidden = true;
  button.disabled = true;
  try {
    location.assign((await steps()).next);
  } catch (error) {
    message.textContent = describe(error);
    message.hidden = false;
    button.disabled = false;
  }
}

for (const container of document.querySelectorAll("[data-passkey]")) {
  const { options, submit, token, next } = container.dataset;
  const button = container.querySelector("button");
  container.hidden = !supported;
  button.addEventListener("click", () =>
    attempt(container, button, async () => {
      const challenge = await post(options, { next }, token);
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(challenge.options);
      const credential = await navigator.credentials.get({ publicKey });
      return post(submit, { credential: credential.toJSON() }, token);
    }),
  );
}

for (const container of document.querySelectorAll("[data-passkey-new]")) {
  const { options, submit } = container.dataset;
  const form = container.querySelector("form");
  form.hidden = !supported;
  container.querySelector("[data-unsupported]").hidden = supported;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, csrf_token: token } = Object.fromEntries(new FormData(form));
    attempt(container, form.querySelector("button"), async () => {
      const challenge = await post(options, {}, token);
      const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(challenge.options);
      const credential = await navigator.credentials.create({ publicKey });
      return post(submit, { credential: credential.toJSON(), name }, token);
    });
  });
}
