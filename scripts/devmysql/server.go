package main

import (
	"crypto/rand"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"net"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	client "github.com/go-sql-driver/mysql"
)

// host is the address that the server listens on.
const host = "127.0.0.1"

// What the server is born with.
const (
	adminName = "admin"
	rootName  = "broker"
	database  = "orders"
	readRole  = "readonly"
)

// running is a server in this process.
type running struct {
	*server.Server
	address       string
	adminPassword string
	rootPassword  string
}

// start starts a server that is prepared. The caller calls Close.
func start(port int) (*running, error) {
	provider := memory.NewDBProvider(memory.NewDatabase(database))
	engine := sqle.NewDefault(provider)
	r := &running{adminPassword: rand.Text(), rootPassword: rand.Text()}
	users := engine.Analyzer.Catalog.MySQLDb
	users.SetEnabled(true)
	users.SetPersister(forgetful{})
	editor := users.Editor()
	users.AddSuperUser(editor, adminName, "%", r.adminPassword)
	editor.Close()
	if err := sql.SystemVariables.AssignValues(map[string]any{"server_uuid": newUUID()}); err != nil {
		return nil, fmt.Errorf("setting the server's identity: %w", err)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	r.address = listener.Addr().String()
	h := &handler{users: users, connections: map[uint32]*mysql.Conn{}}
	engine.ProcessList = processList{engine.ProcessList, h}
	wrap := func(whole mysql.Handler) (mysql.Handler, error) { h.Handler = whole; return h, nil }
	config := server.Config{Protocol: "tcp", Address: r.address, Listener: listener}
	if r.Server, err = server.NewServerWithHandler(config, engine, sql.NewContext, memory.NewSessionBuilder(provider), nil, wrap); err != nil {
		listener.Close()
		return nil, fmt.Errorf("making the server: %w", err)
	}
	go r.Start() // ends with Close
	if err := r.prepare(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// prepare makes what the tour needs, and the root account as far as this server knows the statements of the page.
func (r *running) prepare() error {
	admin, err := connect(r.address, adminName, r.adminPassword, "")
	if err != nil {
		return err
	}
	defer admin.Close()
	for _, statement := range []string{
		"CREATE TABLE " + database + ".orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer VARCHAR(100) NOT NULL, placed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
		"INSERT INTO " + database + ".orders (customer) VALUES ('Ada'), ('Grace'), ('Edsger')",
		"CREATE ROLE " + readRole,
		"GRANT SELECT ON " + database + ".* TO " + readRole,
		"CREATE USER '" + rootName + "'@'%' IDENTIFIED BY '" + r.rootPassword + "'",
		"GRANT CREATE USER, PROCESS ON *.* TO '" + rootName + "'@'%'",
		"GRANT SELECT ON mysql.user TO '" + rootName + "'@'%'",
		"GRANT SELECT ON mysql.role_edges TO '" + rootName + "'@'%'",
		"GRANT " + readRole + " TO '" + rootName + "'@'%' WITH ADMIN OPTION",
	} {
		if _, err := admin.Exec(statement); err != nil {
			return fmt.Errorf("preparing the server: %q: %w", statement, err)
		}
	}
	return nil
}

// forgetful keeps no accounts beyond the process.
type forgetful struct{}

// Persist does nothing.
func (forgetful) Persist(*sql.Context, []byte) error { return nil }

func newUUID() string {
	var bits [16]byte
	rand.Read(bits[:])
	text := hex.EncodeToString(bits[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

func connector(address, username, password, database string) (driver.Connector, error) {
	config := client.NewConfig()
	config.Net, config.Addr, config.User, config.Passwd, config.DBName = "tcp", address, username, password, database
	return client.NewConnector(config)
}
