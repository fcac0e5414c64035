package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"broker/seal"
)

// sharesVariable holds recovery shares, separated by commas or blanks.
const sharesVariable = "BROKER_RECOVERY_SHARES"

// asker asks for a line that is not shown. Nil: nobody can be asked.
type asker func(prompt string) (string, error)

// terminalAsker asks at the terminal, if standard input is one.
func terminalAsker(ctx context.Context, stderr io.Writer) asker {
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return nil
	}
	return func(prompt string) (string, error) {
		before, err := term.GetState(stdin)
		if err != nil {
			return "", fmt.Errorf("looking at the terminal: %w", err)
		}
		fmt.Fprint(stderr, prompt)
		defer fmt.Fprintln(stderr) // the newline that was typed is not shown either
		type line struct {
			text []byte
			err  error
		}
		typed := make(chan line, 1)
		go func() {
			text, err := term.ReadPassword(stdin)
			typed <- line{text, err}
		}()
		select {
		case one := <-typed:
			return string(one.text), one.err
		case <-ctx.Done():
			// The reader is left to the end of the program, which is now.
			return "", errors.Join(ctx.Err(), term.Restore(stdin, before))
		}
	}
}

// collectShares reads recovery shares from files, else from the variable, else from the terminal, until there are
// enough. Each is checked at once, so that whoever types knows which one is wrong.
func (r *restoring) collectShares(ctx context.Context, clusterID string, recovery seal.Recovery) ([]seal.Share, error) {
	lines, from, err := r.writtenShares()
	if err != nil {
		return nil, err
	}
	var shares []seal.Share
	take := func(line string) error {
		s, err := seal.ParseShare(line)
		if err == nil {
			err = seal.CheckShare(s, clusterID, recovery.Split, shares)
		}
		if err == nil {
			shares = append(shares, s)
		}
		return err
	}
	if len(lines) > 0 {
		for _, line := range lines {
			if err := take(line); err != nil {
				return nil, fmt.Errorf("%s: %w", from[line], err)
			}
		}
		return shares, nil // whether they are enough is said where they are put together
	}
	if r.in == nil {
		return nil, wrong("%d of the %d recovery shares are needed: name files with --recovery-share-file, or set %s", recovery.Threshold, recovery.Shares, sharesVariable)
	}
	fmt.Fprintf(r.err, "%d of the %d recovery shares are needed; what is typed is not shown\n", recovery.Threshold, recovery.Shares)
	for len(shares) < recovery.Threshold {
		line, err := r.in(fmt.Sprintf("share %d of %d: ", len(shares)+1, recovery.Threshold))
		if err != nil {
			return nil, fmt.Errorf("asking for a recovery share: %w", err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := take(line); err != nil {
			fmt.Fprintf(r.err, "%v. Once more.\n", err)
		}
	}
	return shares, nil
}

// writtenShares returns the lines of files or of the variable, and where each is from.
func (r *restoring) writtenShares() (lines []string, from map[string]string, err error) {
	from = map[string]string{}
	for _, path := range r.shareFiles {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("reading recovery shares: %w", err)
		}
		found := strings.Fields(string(data))
		if len(found) == 0 {
			return nil, nil, fmt.Errorf("reading recovery shares: %s is empty", path)
		}
		for _, line := range found {
			lines, from[line] = append(lines, line), path
		}
	}
	if len(lines) == 0 {
		for _, line := range strings.FieldsFunc(os.Getenv(sharesVariable), func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }) {
			lines, from[line] = append(lines, line), "variable "+sharesVariable
		}
	}
	return lines, from, nil
}
