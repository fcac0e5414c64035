package broker

import (
	"cmp"
	"strings"

	"broker/fsm"
	"broker/providers"
)

// loginName names the login of a lease of the secret for the account, as the secret's options say.
func loginName(prefix, clusterID string, kind providers.Provider, options providers.Options, secret fsm.SecretName, account fsm.AccountName, unique string) providers.LoginName {
	environment, short := secret.Split()
	app, env, _ := strings.Cut(string(environment), "/")
	parts := providers.NameParts{App: app, Env: env, Secret: short, Account: string(account)}
	// A secret from before there was the option says nothing, and neither does one of a provider without it.
	middle := parts.Middle(cmp.Or(options.String(providers.OptionLoginName), providers.DefaultLoginName))
	return providers.NewLoginName(prefix, providers.Cluster4(clusterID), middle, unique, kind.Describe().MaxLoginName)
}
