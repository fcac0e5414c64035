package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

const (
	environment = "bench/measure"
	connection  = "measured"
	groupRole   = postgrestest.ReadRole
)

// newNoopHouse starts the nodes and makes a secret whose leases make nothing. path is where they are issued.
func newNoopHouse(ctx context.Context, o *options) (h *house, path string, err error) {
	if h, err = newHouse(ctx, o, false); err != nil {
		return nil, "", err
	}
	if err = h.connect(ctx, "noop"); err == nil {
		path, err = h.secret(ctx, "nothing", "noop", nil)
	}
	if err != nil {
		h.close()
		return nil, "", err
	}
	return h, path, nil
}

// connect makes a connection of the provider.
func (h *house) connect(ctx context.Context, provider string) error {
	spec := types.ConnectionSpec{Name: connection + "-" + provider, Provider: provider, Environments: []string{environment}}
	if provider == "postgres" {
		spec.Settings = map[string]any{
			"host": postgrestest.Host, "port": h.pg.Port, "database": postgrestest.Database,
			"username": postgrestest.RootName, "password": h.pgRoot,
		}
	}
	_, err := h.client.CreateConnection(ctx, spec)
	return err
}

// secret makes a secret of the provider and returns the path at which leases of it are issued.
func (h *house) secret(ctx context.Context, name, provider string, options map[string]any) (path string, err error) {
	hour, year := types.Duration(time.Hour), types.Duration(365*24*time.Hour)
	spec := types.SecretSpec{Name: name, Connection: connection + "-" + provider, DefaultTTL: &hour, MaxTTL: &year, Options: options}
	for _, output := range []string{"username", "password"} {
		key := strings.ToUpper(strings.ReplaceAll(name, "-", "_") + "_" + output)
		spec.Outputs = append(spec.Outputs, types.Output{Key: key, Source: output})
	}
	_, err = h.client.CreateSecret(ctx, environment, spec)
	return "/api/v1/environments/" + environment + "/secrets/" + name + "/leases", err
}

// roleSecret makes a secret of PostgreSQL roles whose passwords are hashed so many times.
func (h *house) roleSecret(ctx context.Context, iterations int) (path string, err error) {
	return h.secret(ctx, fmt.Sprintf("role-%d", iterations), "postgres", map[string]any{"member_of": []string{groupRole}, "scram_iterations": iterations})
}

// cheap is how often passwords are hashed where that is not what is measured.
const cheap = 64
