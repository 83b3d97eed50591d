export type Step = { title: string; command: string }

/** The commands of a first broadcast against the server at `origin`, in the order in which they are typed. */
export function firstBroadcastSteps(origin: string): Step[] {
  const post = (path: string, body: object) =>
    [
      `curl -u "$CARILLON_LOGIN" -H 'Content-Type: application/json' \\`,
      `  -d '${JSON.stringify(body)}' ${quote(path)}`,
    ].join('\n')
  const quote = (path: string) => `"${origin}/api/v2${path}"`
  return [
    {
      title: '1. Take the login and the API key that npm start printed.',
      command: "CARILLON_LOGIN='email:api-key'",
    },
    {
      title: '2. Make a list, and keep the id that comes back.',
      command: `${post('/lists', { list: { name: 'Friends' } })}\nLIST=1 # the id of the answer`,
    },
    {
      title: '3. Put somebody on it, here without the question for consent.',
      command: post('/lists/$LIST/subscribers', {
        subscriber: { phone_number: '2065550123', bypass_opt_in_process: true, bypass_opt_in_response: true },
      }),
    },
    {
      title: '4. Text the list, then watch the counters of the message.',
      command: [
        post('/lists/$LIST/messages', { message: { content: 'Hello from Carillon' } }),
        `curl -u "$CARILLON_LOGIN" ${quote('/lists/$LIST/messages')}`,
      ].join('\n'),
    },
  ]
}
