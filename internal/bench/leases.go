package main

import (
	"context"
	"fmt"
	"time"
)

// cheapHouse is a house with a secret of PostgreSQL roles that are made fast.
func cheapHouse(ctx context.Context, o *options) (h *house, path string, asked int, err error) {
	if h, err = newHouse(ctx, o, true); err != nil {
		return nil, "", 0, err
	}
	if err = h.connect(ctx, "postgres"); err == nil {
		if path, err = h.roleSecret(ctx, cheap); err == nil {
			_, asked, _, err = h.roles(ctx)
		}
	}
	if err != nil {
		h.close()
	}
	return h, path, asked, err
}

func runRenew(ctx context.Context, o *options) ([]*table, error) {
	h, path, asked, err := cheapHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	const perClient = 8
	var list []*contestant
	for _, clients := range o.counts(1, 32) {
		ids, err := h.issueMany(ctx, asked, path, "{}", min(clients, 32), perClient*clients)
		if err != nil {
			return nil, err
		}
		names, err := h.makeRoles(ctx, perClient*clients)
		if err != nil {
			return nil, err
		}
		turns := make([]int, clients) // it goes on over rounds: each renewal moves an end
		list = append(list, &contestant{name: "raw", clients: clients, round: h.rawRound(func(ctx context.Context, r rawClient, i int) (bool, error) {
			turns[i]++
			return true, r.renew(ctx, names[perClient*i+turns[i]%perClient], time.Now().Add(2*time.Hour+time.Duration(turns[i])*time.Second))
		})})
		list = append(list, &contestant{name: "renew", clients: clients, against: "raw", round: func(ctx context.Context, clients int, limit time.Duration) (sample, error) {
			return load(ctx, clients, limit, func(i int) (operation, func(), error) {
				c := dial(h.nodes[asked].url(), h.token)
				turn := 0
				return func() (bool, error) {
					turn++
					_, err := c.expect(200, "POST", "/api/v1/leases/"+ids[perClient*i+turn%perClient]+"/renew", `{"ttl":1}`)
					return true, err
				}, c.Close, nil
			})
		}})
	}
	if err := h.contest(ctx, list); err != nil {
		return nil, err
	}
	t := tableOf("renew", "PostgreSQL roles through a follower", list)
	t.note("%s", h.about())
	if many := find(list, "renew", 32); many != nil {
		t.atLeast("rate at 32 clients", many.rate(), 2000)
	}
	tables := []*table{t}
	if o.profile {
		more, err := h.profile(ctx, "renew", list[len(list)-1])
		return append(tables, more...), err
	}
	return tables, nil
}

func runRevoke(ctx context.Context, o *options) ([]*table, error) {
	h, path, asked, err := cheapHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	perClient := 50
	if o.quick {
		perClient = 15
	}
	// What is removed has to be there first, so a round ends when all is gone and not by the clock.
	var list []*contestant
	for _, clients := range o.counts(1, 32) {
		list = append(list, &contestant{name: "raw", clients: clients}, &contestant{name: "revoke", clients: clients, against: "raw"})
	}
	for i := range list {
		raw := list[i].name == "raw"
		count := perClient * list[i].clients
		if list[i].clients == 1 {
			count *= 4
		}
		var things []string
		list[i].before = func(ctx context.Context) (err error) {
			if raw {
				things, err = h.makeRoles(ctx, count)
			} else {
				things, err = h.issueMany(ctx, asked, path, "{}", min(count, 32), count)
			}
			return err
		}
		list[i].round = func(ctx context.Context, clients int, _ time.Duration) (sample, error) {
			if len(things) != count {
				return sample{}, fmt.Errorf("%d of %d are there to be removed", len(things), count)
			}
			share := func(i int) []string { return things[i*count/clients : (i+1)*count/clients] }
			left := make([][]string, clients)
			for i := range left {
				left[i] = share(i)
			}
			next := func(i int) (string, bool) {
				if len(left[i]) == 0 {
					return "", false
				}
				thing := left[i][0]
				left[i] = left[i][1:]
				return thing, true
			}
			if raw {
				return h.rawRound(func(ctx context.Context, r rawClient, i int) (bool, error) {
					name, more := next(i)
					if !more {
						return false, nil
					}
					return true, r.revoke(ctx, name)
				})(ctx, clients, 0)
			}
			return load(ctx, clients, 0, func(i int) (operation, func(), error) {
				c := dial(h.nodes[asked].url(), h.token)
				return func() (bool, error) {
					id, more := next(i)
					if !more {
						return false, nil
					}
					_, err := c.expect(200, "POST", "/api/v1/leases/"+id+"/revoke", `{}`)
					return true, err
				}, c.Close, nil
			})
		}
	}
	if err := h.contest(ctx, list); err != nil {
		return nil, err
	}
	t := tableOf("revoke", "PostgreSQL roles through a follower, in stages; raw removes one at a time", list)
	t.note("%s", h.about())
	for _, clients := range o.counts(32) {
		if many, raw := find(list, "revoke", clients), find(list, "raw", clients); many != nil {
			t.atLeast(fmt.Sprintf("rate at %d clients, × raw", clients), many.rate()/raw.rate(), 0.75)
		}
	}
	return []*table{t}, nil
}

func runLookup(ctx context.Context, o *options) ([]*table, error) {
	h, path, err := newNoopHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	_, asked, _, err := h.roles(ctx)
	if err != nil {
		return nil, err
	}
	const leases = 1000
	ids, err := h.issueMany(ctx, asked, path, "{}", 32, leases)
	if err != nil {
		return nil, err
	}
	var list []*contestant
	for _, consistency := range []string{"stale", "linearizable"} {
		for _, clients := range o.counts(1, 32) {
			list = append(list, &contestant{name: consistency, clients: clients, round: func(ctx context.Context, clients int, limit time.Duration) (sample, error) {
				return load(ctx, clients, limit, func(i int) (operation, func(), error) {
					c := dial(h.nodes[asked].url(), h.token)
					turn := i * leases / clients
					return func() (bool, error) {
						turn++
						_, err := c.expect(200, "GET", "/api/v1/leases/"+ids[turn%leases]+"?consistency="+consistency, "")
						return true, err
					}, c.Close, nil
				})
			}})
		}
	}
	if err := h.contest(ctx, list); err != nil {
		return nil, err
	}
	t := tableOf("lookup", "one lease at a follower", list)
	t.note("%s", h.about())
	if stale := find(list, "stale", 32); stale != nil {
		t.atLeast("stale at 32 clients, per s", stale.rate(), 10000)
		t.atLeast("linearizable at 32 clients, per s", find(list, "linearizable", 32).rate(), 4000)
	}
	tables := []*table{t}
	if o.profile {
		for _, c := range []*contestant{find(list, "stale", 32), find(list, "linearizable", 32)} {
			more, err := h.profile(ctx, "lookup-"+c.name, c)
			if err != nil {
				return tables, err
			}
			tables = append(tables, more...)
		}
	}
	return tables, nil
}
