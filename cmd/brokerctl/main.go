package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"broker/api/client"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{
		in:          os.Stdin,
		out:         os.Stdout,
		err:         os.Stderr,
		getenv:      os.Getenv,
		terminal:    term.IsTerminal(int(os.Stdout.Fd())),
		interactive: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		now:         time.Now,
	}
	if stdin := int(os.Stdin.Fd()); term.IsTerminal(stdin) {
		a.secretly = func(prompt string) (string, error) { return askSecretly(ctx, stdin, prompt) }
	}
	command := a.root()
	return a.report(command.ExecuteContext(client.OnWait(ctx, a.waiting)))
}

// askSecretly reads a line from a terminal that does not show what is typed. An interruption ends it, and
// leaves the terminal as it was.
func askSecretly(ctx context.Context, terminal int, prompt string) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", fmt.Errorf("looking at the terminal: %w", err)
	}
	fmt.Fprint(os.Stderr, prompt)
	defer fmt.Fprintln(os.Stderr) // the newline that was typed is not shown either
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(terminal)
		typed <- line{text, err}
	}()
	select {
	case one := <-typed:
		return string(one.text), one.err
	case <-ctx.Done():
		// The reader is left to the end of the program, which is now.
		return "", errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}
