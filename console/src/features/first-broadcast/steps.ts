export type Step = { title: string; command: string }

/** Returns the commands of a first broadcast at the server `origin`, in order. */
export function firstBroadcastSteps(origin: string): Step[] {
  const post = (path: string, body: object) =>
    [
      `curl -u "$CARILLON_LOGIN" -H 'Content-Type: application/json' \\`,
      `  -d '${JSON.stringify(body)}' ${quote(path)}`,
    ].join('\n')
  const quote = (path: string) => `"${origin}/api/v2${path}"`
  return [
    {
      title: '1. Set the login and the API key printed by npm start.',
      command: "CARILLON_LOGIN='email:api-key'",
    },
    {
      title: '2. Create a list, and note the id in the response.',
      command: `${post('/lists', { list: { name: 'Friends' } })}\nLIST=1 # the id in the response`,
    },
    {
      title: '3. Add a subscriber, here without an opt-in request.',
      command: post('/lists/$LIST/subscribers', {
        subscriber: { phone_number: '2065550123', bypass_opt_in_process: true, bypass_opt_in_response: true },
      }),
    },
    {
      title: '4. Send a text to the list, then watch the counters of the message.',
      command: [
        post('/lists/$LIST/messages', { message: { content: 'Hello from Carillon' } }),
        `curl -u "$CARILLON_LOGIN" ${quote('/lists/$LIST/messages')}`,
      ].join('\n'),
    },
  ]
}
