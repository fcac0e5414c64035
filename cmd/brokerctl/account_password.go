package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) accountPassword() *cobra.Command {
	var change changeFlags
	var file, currentFile string
	var remove bool
	cmd := &cobra.Command{
		Use:   "password NAME",
		Short: "Give an account another password, or none",
		Long: `Give an account another password. It is asked for at a terminal, else read from --password-file or standard
input. Whoever changes his own shows the present one.`,
		Example:           "  brokerctl account password alice",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var wanted types.PasswordChange
			if wanted.Current, err = a.currentPassword(currentFile); err != nil {
				return err
			}
			switch {
			case remove && file != "":
				return usage("--remove and --password-file exclude each other")
			case !remove:
				if wanted.Password, err = a.newPassword(file); err != nil {
					return err
				}
			}
			err = c.SetPassword(cmd.Context(), args[0], wanted, change.options()...)
			var problem *types.Problem
			if errors.As(err, &problem) && wanted.Current == "" && a.secretly != nil && len(problem.Errors) > 0 && problem.Errors[0].Field == "current_password" {
				if wanted.Current, err = a.secretly("present password: "); err != nil {
					return fmt.Errorf("reading the password: %w", err)
				}
				err = c.SetPassword(cmd.Context(), args[0], wanted, change.options()...)
			}
			if err != nil {
				return err
			}
			if remove {
				change.done(a, "removed", "the password of account "+args[0])
			} else {
				change.done(a, "set", "the password of account "+args[0])
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "password-file", "", "read the new password from this file")
	cmd.Flags().StringVar(&currentFile, "current-password-file", "", "read the present password from this file")
	cmd.Flags().BoolVar(&remove, "remove", false, "take the password away")
	change.addTo(cmd, false)
	return cmd
}

// newPassword asks twice: nobody sees what is typed.
func (a *app) newPassword(file string) (string, error) {
	if file != "" || a.secretly == nil {
		return a.secretFrom(file, "password")
	}
	password, err := a.secretly("new password: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	again, err := a.secretly("again: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	switch {
	case password == "":
		return "", usage("there is no password; --remove takes the present one away")
	case password != again:
		return "", usage("the two are not the same; nothing was done")
	}
	return password, nil
}

func (a *app) currentPassword(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	return a.secretFrom(file, "present password")
}

// secretFrom reads a secret, which is one line: from a file, else from who types it, else from standard input.
func (a *app) secretFrom(file, what string) (text string, err error) {
	var content []byte
	switch {
	case file != "":
		content, err = os.ReadFile(file)
		text = string(content)
	case a.secretly != nil:
		text, err = a.secretly(what + ": ")
	default:
		content, err = io.ReadAll(io.LimitReader(a.in, 1<<16))
		text = string(content)
	}
	if err != nil {
		return "", fmt.Errorf("reading the %s: %w", what, err)
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", usage("there is no %s", what)
	}
	return text, nil
}
