// Package vault lets clients that speak Vault's protocol use the broker as they are: a mount is an
// environment, and reading payments/production/creds/orders-ro issues a lease of that secret.
//
// It translates: paths and bodies of Vault into calls of the broker's own API (see [Native]), answers and problems
// into what such clients expect. It decides nothing about who may do what, keeps nothing, and imports nothing of the
// broker but the wire types: every call passes the gate of the native routes.
//
// Two rules one could break it with: a fault that goes away by itself must never be told as 400, since clients take
// that for the end of a lease and ask for a new one at once; and what a client asks for and the broker does not do is
// refused, unless leaving it out gives the client less, not more.
package vault
