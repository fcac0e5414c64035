package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: scripts/bench [SCENARIO…] [flags]

Measures brokers on this machine: three processes and a real PostgreSQL, all of it thrown away afterwards.

  issue    leases from PostgreSQL through a follower, and the same statements without the broker
  noop     leases that make nothing anywhere: the broker alone, and where its time goes
  renew    renewals, and the same statements without the broker
  revoke   revocations, and the same statements without the broker
  lookup   reads of a lease at a follower, stale and linearizable
  expiry   many leases due within a second
  systems  the same at MySQL, Redis and RabbitMQ, and their logins without the broker
  scale    memory, take-over and restart with many live leases
  kills    the leader killed and paused under load

Without a scenario: all of them.

flags:
`

// options is what can be said on the command line.
type options struct {
	brokerd  string
	dir      string
	quick    bool
	json     bool
	fsync    bool
	keep     bool
	profile  bool
	provider string
	rounds   int
	duration time.Duration
	clients  list
	sizes    list
	kills    int
	pauses   int
	pause    time.Duration
	timing   string
}

// list is a flag of whole numbers, separated by commas.
type list []int

func (l *list) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(*l)), " ", ","), "[]")
}

func (l *list) Set(text string) error {
	*l = nil
	for part := range strings.SplitSeq(text, ",") {
		var n int
		if _, err := fmt.Sscan(part, &n); err != nil || n < 1 {
			return fmt.Errorf("%q is no whole number from 1", part)
		}
		*l = append(*l, n)
	}
	return nil
}

// scenario is one thing to measure.
type scenario struct {
	name string
	run  func(context.Context, *options) ([]*table, error)
}

func scenarios() []scenario {
	return []scenario{
		{"issue", runIssue},
		{"noop", runNoop},
		{"renew", runRenew},
		{"revoke", runRevoke},
		{"lookup", runLookup},
		{"expiry", runExpiry},
		{"systems", runSystems},
		{"scale", runScale},
		{"kills", runKills},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.brokerd, "brokerd", "", "the daemon to measure (default: built from this checkout)")
	flags.StringVar(&o.dir, "dir", "", "where data and profiles go (default: a temporary directory)")
	flags.BoolVar(&o.quick, "quick", false, "short rounds and small numbers: does it run, and roughly what comes out")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.BoolVar(&o.fsync, "fsync", false, "let PostgreSQL flush to disk at every commit (off: as scripts/devpostgres has it)")
	flags.BoolVar(&o.keep, "keep", false, "leave data, logs and profiles in place")
	flags.BoolVar(&o.profile, "profile", false, "profiles of leader and follower in every scenario that has rounds")
	flags.StringVar(&o.provider, "provider", "postgres", "for issue and expiry: postgres or noop")
	flags.IntVar(&o.rounds, "rounds", 0, "how often each figure is taken; the median counts (default: 5, with --quick 2)")
	flags.DurationVar(&o.duration, "duration", 0, "of one round (default: 5s, with --quick 2s)")
	flags.Var(&o.clients, "clients", "concurrent clients (default: what the scenario is about)")
	flags.Var(&o.sizes, "leases", "numbers of live leases, for scale (default: 1000,10000,100000,1000000, with --quick 1000,10000); of due ones, for expiry")
	flags.IntVar(&o.kills, "kills", 0, "for kills: how often the leader is killed (default: 20, with --quick 3)")
	flags.IntVar(&o.pauses, "pauses", 0, "for kills: how often the leader is paused (default: 10, with --quick 2; with --timing lan 0)")
	flags.DurationVar(&o.pause, "pause", 0, "for kills: how long a pause is (default: 30s, with --quick 5s)")
	flags.StringVar(&o.timing, "timing", "default", "how patient the nodes are with each other: lan, default or wan")
	var chosen []string
	for len(args) > 0 { // scenarios may stand before, between and after flags
		if err := flags.Parse(args); err != nil {
			return err
		}
		if args = flags.Args(); len(args) > 0 {
			chosen, args = append(chosen, args[0]), args[1:]
		}
	}
	if o.provider == "noop" && slices.Contains(chosen, "issue") {
		chosen[slices.Index(chosen, "issue")] = "noop"
	}
	if err := o.complete(); err != nil {
		return err
	}
	for _, name := range chosen {
		if !slices.ContainsFunc(scenarios(), func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("there is no scenario %q", name)
		}
	}
	var tables []*table
	for _, s := range scenarios() {
		if len(chosen) > 0 && !slices.Contains(chosen, s.name) {
			continue
		}
		more, err := s.run(ctx, o)
		tables = append(tables, more...)
		if !o.json {
			for _, t := range more {
				t.print(os.Stdout)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if o.json {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(tables)
	}
	return nil
}

// complete fills in what was not said.
func (o *options) complete() error {
	if o.brokerd == "" {
		return errors.New("--brokerd names the daemon to measure; scripts/bench builds one")
	}
	if o.provider != "postgres" && o.provider != "noop" {
		return fmt.Errorf("--provider is postgres or noop, not %q", o.provider)
	}
	pick := func(full, quick int) int {
		if o.quick {
			return quick
		}
		return full
	}
	pauses := pick(10, 2)
	switch o.timing {
	case "default", "wan":
	case "lan":
		pauses = 0 // how long a pause is survived says nothing about the timing
	default:
		return fmt.Errorf("--timing is lan, default or wan, not %q", o.timing)
	}
	for _, n := range []struct {
		field       *int
		full, quick int
	}{{&o.rounds, 5, 2}, {&o.kills, 20, 3}, {&o.pauses, pauses, pauses}} {
		if *n.field == 0 {
			*n.field = pick(n.full, n.quick)
		}
	}
	if o.duration == 0 {
		o.duration = time.Duration(pick(5, 2)) * time.Second
	}
	if o.pause == 0 {
		o.pause = time.Duration(pick(30, 5)) * time.Second
	}
	return nil
}

// say tells what is going on, apart from the result.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
