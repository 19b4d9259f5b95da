// Judges captured webhooks as receivers do: with their own libraries.
//
// Reads a JSON array of questions, {check, secret, method, path, headers, body}, and writes a JSON
// array with an answer for each: {verdict: "verified"} or {verdict: "refused: …"}, for a CloudEvent
// with the event as the library understood it. TIDINGS_NODE_LIBRARIES is where node_modules lies.

const { createRequire } = require('node:module');
const { createPublicKey, verify } = require('node:crypto');
const { join } = require('node:path');

const library = createRequire(join(process.env.TIDINGS_NODE_LIBRARIES, 'package.json'));

const checks = {
  standardwebhooks({ secret, headers, body }) {
    const { Webhook } = library('standardwebhooks');
    new Webhook(secret).verify(body, headers, { jsonParse: false });
    return true;
  },
  svix({ secret, headers, body }) {
    const { Webhook } = library('svix');
    new Webhook(secret).verify(body, headers);
    return true;
  },
  contentful({ secret, method, path, headers, body }) {
    const { verifyRequest } = library('@contentful/node-apps-toolkit');
    return verifyRequest(secret, { method, path, headers, body });
  },
  // Standard Webhooks' v1a, which none of the libraries verifies: OpenSSL does.
  ed25519({ secret, headers, body }) {
    const raw = Buffer.from(secret.slice('whpk_'.length), 'base64');
    const prefix = Buffer.from('302a300506032b6570032100', 'hex');
    const key = createPublicKey({ key: Buffer.concat([prefix, raw]), format: 'der', type: 'spki' });
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    return headers['webhook-signature']
      .split(' ')
      .filter((signature) => signature.startsWith('v1a,'))
      .some((signature) => {
        const bytes = Buffer.from(signature.slice('v1a,'.length), 'base64');
        return verify(null, Buffer.from(signed), key, bytes);
      });
  },
  cloudevents({ headers, body }) {
    const { HTTP } = library('cloudevents');
    const event = HTTP.toEvent({ headers, body });
    event.validate();
    return { event: JSON.parse(JSON.stringify(event)) };
  },
};

function answer(question) {
  try {
    const found = checks[question.check](question);
    if (found === false) return { verdict: 'refused: the signature is another' };
    return { verdict: 'verified', ...(found === true ? {} : found) };
  } catch (error) {
    return { verdict: `refused: ${error.message}` };
  }
}

const chunks = [];
process.stdin.on('data', (chunk) => chunks.push(chunk));
process.stdin.on('end', () => {
  const questions = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  process.stdout.write(JSON.stringify(questions.map(answer)));
});
