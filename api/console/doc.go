// Package console serves the web console. It is a client like any other: what a browser asks becomes calls of the API,
// in process, with the session's token, the browser's address and its user agent. It decides nothing, keeps nothing that
// matters, and sees nothing of ours but the client and the wire types.
//
// Two rules that one could break it with: a screen never calls anything but the client of its page, and nothing that came
// from outside becomes a template.HTML.
package console
