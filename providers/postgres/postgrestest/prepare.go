package postgrestest

import (
	"context"
	"crypto/rand"
	"fmt"
)

// What Prepare makes.
const (
	RootName  = "broker"       // the root account, no superuser
	Database  = "orders"       // a database with a table orders of three rows
	OwnerRole = "orders_owner" // owner of the database
	ReadRole  = "readonly"     // group role that may read the table
	WriteRole = "readwrite"    // group role that may write it and make tables
)

// RootStatements returns the statements by which a superuser prepares the broker's root account,
// which differ between PostgreSQL up to 15 and from 16. They are those of the provider's page; names and
// password are put in as they are.
func RootStatements(major int, password string, groups ...string) []string {
	statements := []string{
		"CREATE ROLE " + RootName + " LOGIN CREATEROLE PASSWORD '" + password + "'",
		"GRANT pg_signal_backend TO " + RootName,
		"GRANT " + OwnerRole + " TO " + RootName,
	}
	if major >= 16 {
		for _, group := range groups {
			statements = append(statements, "GRANT "+group+" TO "+RootName+" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
		}
	}
	return statements
}

// Prepare makes the database orders with its table, owner and groups, and the root account, and
// returns the root account's password.
func (s *Server) Prepare(ctx context.Context) (rootPassword string, err error) {
	rootPassword = rand.Text()
	major, err := s.major(ctx)
	if err != nil {
		return "", err
	}
	err = s.SQL(ctx, "postgres",
		"CREATE ROLE "+OwnerRole+" NOLOGIN",
		"CREATE ROLE "+ReadRole+" NOLOGIN",
		"CREATE ROLE "+WriteRole+" NOLOGIN",
		"CREATE DATABASE "+Database+" OWNER "+OwnerRole,
	)
	if err != nil {
		return "", fmt.Errorf("preparing database %s: %w", Database, err)
	}
	err = s.SQL(ctx, Database,
		"SET ROLE "+OwnerRole,
		"CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, placed_at timestamptz NOT NULL DEFAULT now())",
		"INSERT INTO orders (customer) VALUES ('Ada'), ('Grace'), ('Edsger')",
		"GRANT USAGE ON SCHEMA public TO "+ReadRole,
		"GRANT SELECT ON ALL TABLES IN SCHEMA public TO "+ReadRole,
		"GRANT USAGE, CREATE ON SCHEMA public TO "+WriteRole,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+WriteRole,
	)
	if err != nil {
		return "", fmt.Errorf("preparing table orders: %w", err)
	}
	if err := s.SQL(ctx, "postgres", RootStatements(major, rootPassword, ReadRole, WriteRole)...); err != nil {
		return "", fmt.Errorf("preparing the root account: %w", err)
	}
	return rootPassword, nil
}

func (s *Server) major(ctx context.Context) (int, error) {
	conn, err := s.Superuser(ctx, "postgres")
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return 0, fmt.Errorf("reading the server's version: %w", err)
	}
	return version / 10000, nil
}
