package main

import (
	"broker/providers"
	"broker/providers/awsiam"
	"broker/providers/awssts"
	"broker/providers/ldap"
	"broker/providers/mysql"
	"broker/providers/noop"
	"broker/providers/postgres"
	"broker/providers/rabbitmq"
	"broker/providers/redis"
	"broker/providers/ssh"
	"broker/providers/webhook"
	"broker/providers/x509"
)

// concreteProviders lists every kind of outside system that this daemon knows; those for measuring only
// when it was told to.
func concreteProviders(bench bool) (*providers.Registry, error) {
	list := []providers.Provider{
		awsiam.Provider{},
		awssts.Provider{},
		ldap.Provider{},
		mysql.Provider{},
		postgres.Provider{},
		rabbitmq.Provider{},
		redis.Provider{},
		ssh.Provider{},
		webhook.Provider{},
		x509.Provider{},
	}
	if bench {
		list = append(list, noop.Provider{})
	}
	return providers.NewRegistry(list...)
}
