package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"broker/api/types"
	"broker/providers/mysql/mysqltest"
	"broker/providers/rabbitmq/rabbitmqtest"
	"broker/providers/redis/redistest"
)

// outside is an outside system, and what makes and removes a login there without the broker: the statements that have
// to be, and none of those that make sure.
type outside struct {
	provider string
	server   interface {
		Prepare(ctx context.Context) (rootPassword string, err error)
		Connection() map[string]any
		Options() map[string]any
		Logins(ctx context.Context, prefix string) ([]string, error)
		Close() error
	}
	create, remove func(ctx context.Context, name string) error
	close          func() error
}

func outsides() []func(ctx context.Context, dir string) (outside, error) {
	return []func(context.Context, string) (outside, error){outsideMySQL, outsideRedis, outsideRabbitMQ}
}

func outsideMySQL(ctx context.Context, dir string) (outside, error) {
	server, err := mysqltest.Run(ctx, mysqltest.Config{Dir: filepath.Join(dir, "mysql")})
	if err != nil {
		return outside{}, err
	}
	db := server.Admin()
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	run := func(ctx context.Context, statements ...string) error {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		return each(statements, func(one string) error {
			_, err := conn.ExecContext(ctx, one)
			return err
		})
	}
	return outside{
		provider: "mysql", server: server, close: db.Close,
		create: func(ctx context.Context, name string) error {
			account := "'" + name + "'@'%'"
			return run(ctx, "CREATE USER "+account+" IDENTIFIED BY '"+rand.Text()+"' ACCOUNT LOCK", "GRANT "+mysqltest.ReadRole+" TO "+account,
				"SET DEFAULT ROLE "+mysqltest.ReadRole+" FOR "+account, "ALTER USER "+account+" ACCOUNT UNLOCK")
		},
		remove: func(ctx context.Context, name string) error {
			account := "'" + name + "'@'%'"
			if err := run(ctx, "ALTER USER "+account+" ACCOUNT LOCK"); err != nil {
				return err
			}
			var sessions int
			if err := db.QueryRowContext(ctx, "SELECT count(*) FROM information_schema.processlist WHERE user = ?", name).Scan(&sessions); err != nil && err != sql.ErrNoRows {
				return err
			}
			return run(ctx, "DROP USER "+account)
		},
	}, nil
}

func outsideRedis(ctx context.Context, dir string) (outside, error) {
	server, err := redistest.Run(ctx, redistest.Config{Dir: filepath.Join(dir, "redis")})
	if err != nil {
		return outside{}, err
	}
	client := server.Admin()
	do := func(ctx context.Context, command ...any) error {
		if err := client.Do(ctx, command...).Err(); err != nil {
			return err
		}
		return client.Do(ctx, "ACL", "SAVE").Err()
	}
	return outside{
		provider: "redis", server: server, close: client.Close,
		create: func(ctx context.Context, name string) error {
			sum := sha256.Sum256([]byte(rand.Text()))
			return do(ctx, "ACL", "SETUSER", name, "resetchannels", "~orders:*", "+@read", "#"+hex.EncodeToString(sum[:]), "on")
		},
		remove: func(ctx context.Context, name string) error { return do(ctx, "ACL", "DELUSER", name) },
	}, nil
}

func outsideRabbitMQ(ctx context.Context, dir string) (outside, error) {
	server, err := rabbitmqtest.Run(ctx, rabbitmqtest.Config{Dir: filepath.Join(dir, "rabbitmq")})
	if err != nil {
		return outside{}, err
	}
	do := func(ctx context.Context, method, path string, body any) error {
		_, err := server.Do(ctx, method, path, body)
		return err
	}
	return outside{
		provider: "rabbitmq", server: server, close: func() error { return nil },
		create: func(ctx context.Context, name string) error {
			if err := do(ctx, http.MethodPut, "users/"+name, map[string]string{"password": rand.Text(), "tags": ""}); err != nil {
				return err
			}
			return do(ctx, http.MethodPut, "permissions/"+url.PathEscape(rabbitmqtest.VHost)+"/"+name, map[string]string{"configure": "^$", "write": "^$", "read": "^orders$"})
		},
		remove: func(ctx context.Context, name string) error { return do(ctx, http.MethodDelete, "users/"+name, nil) },
	}, nil
}

func each(list []string, do func(string) error) error {
	for _, one := range list {
		if err := do(one); err != nil {
			return fmt.Errorf("%s: %w", one, err)
		}
	}
	return nil
}

// runSystems has many leases of other systems issued at once and due together, and the same logins made and removed
// without the broker.
func runSystems(ctx context.Context, o *options) ([]*table, error) {
	count, spread := o.due(2000, 200)
	h, err := newHouse(ctx, o, false)
	if err != nil {
		return nil, err
	}
	defer h.close()
	t := &table{Name: "systems", Title: fmt.Sprintf("%d leases issued by 32 clients, due within a second; raw: the same logins without the broker", count), Columns: []string{
		"", "issued, per second", "raw", "× raw", "first due → last gone, s", "raw, s", "left", "early",
	}}
	for _, start := range outsides() {
		if err := h.measureSystem(ctx, t, start, count, spread); err != nil {
			return nil, err
		}
	}
	t.note("%s", h.about())
	return []*table{t}, nil
}

func (h *house) measureSystem(ctx context.Context, t *table, start func(context.Context, string) (outside, error), count int, spread time.Duration) (err error) {
	const clients = 32
	s, err := start(ctx, h.dir)
	if err != nil {
		return err
	}
	defer func() {
		for _, end := range []func() error{s.close, s.server.Close} {
			if endErr := end(); err == nil {
				err = endErr
			}
		}
	}()
	if _, err := s.server.Prepare(ctx); err != nil {
		return err
	}
	settings := types.ConnectionSpec{Name: connection + "-" + s.provider, Provider: s.provider, Environments: []string{environment}, Settings: s.server.Connection()}
	if _, err := h.client.CreateConnection(ctx, settings); err != nil {
		return err
	}
	path, err := h.secret(ctx, s.provider, s.provider, s.server.Options())
	if err != nil {
		return err
	}
	_, asked, _, err := h.roles(ctx)
	if err != nil {
		return err
	}

	rawMade, err := together(ctx, clients, count, s.create)
	if err != nil {
		return fmt.Errorf("making logins at %s without the broker: %w", s.provider, err)
	}
	rawGone, err := together(ctx, clients, count, s.remove)
	if err != nil {
		return fmt.Errorf("removing logins at %s without the broker: %w", s.provider, err)
	}
	issued, ends, err := h.issueDue(ctx, asked, path, count, spread)
	if err != nil {
		return err
	}
	gone, early, err := watchLogins(ctx, s, ends)
	if err != nil {
		return err
	}
	left, err := s.server.Logins(ctx, "brk_")
	if err != nil {
		return err
	}
	t.row(s.provider, issued.rate(), rawMade.rate(), issued.rate()/rawMade.rate(), gone.Sub(ends[0]).Seconds(), rawGone.took.Seconds(), len(left), early)
	t.atMost("left at "+s.provider, float64(len(left)), 0)
	t.atMost("early at "+s.provider, float64(early), 0)
	return nil
}

// together has clients do the same with each of count names.
func together(ctx context.Context, clients, count int, do func(context.Context, string) error) (sample, error) {
	var next atomic.Int64
	s, err := load(ctx, clients, 0, func(int) (operation, func(), error) {
		return func() (bool, error) {
			i := int(next.Add(1)) - 1
			if i >= count {
				return false, nil
			}
			return true, do(ctx, fmt.Sprintf("%s%05d", rawPrefix, i))
		}, func() {}, nil
	})
	if err == nil && s.failed > 0 {
		err = s.failure
	}
	return s, err
}

// watchLogins waits until the last login is gone, and returns when that was and how many were gone before their lease
// had ended.
func watchLogins(ctx context.Context, s outside, ends []time.Time) (gone time.Time, early int, err error) {
	deadline := ends[len(ends)-1].Add(5 * time.Minute)
	for {
		asked := time.Now()
		there, err := s.server.Logins(ctx, "brk_")
		if err != nil { // RabbitMQ's list fails while users that it is at are removed
			if asked.After(deadline) || ctx.Err() != nil {
				return gone, 0, err
			}
			pause(ctx, 20*time.Millisecond)
			continue
		}
		due := 0
		for due < len(ends) && ends[due].Before(time.Now()) {
			due++
		}
		early = max(early, len(ends)-len(there)-due)
		if len(there) == 0 {
			return asked, early, nil
		}
		if asked.After(deadline) {
			return gone, early, fmt.Errorf("%d logins are still there five minutes after their leases ended, %s… among them", len(there), strings.Join(there[:1], ""))
		}
		pause(ctx, 20*time.Millisecond)
		if wait := time.Until(ends[0]); wait > time.Second {
			pause(ctx, 500*time.Millisecond)
		}
		if ctx.Err() != nil {
			return gone, early, ctx.Err()
		}
	}
}
