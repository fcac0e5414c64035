package agent

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func (c *Config) checkFile(f *File, paths map[string]int) error {
	if !filepath.IsAbs(f.Path) || strings.HasSuffix(f.Path, "/") {
		return c.wrong(f.line, "path: %q must be a file's absolute path", f.Path)
	}
	f.Path = filepath.Clean(f.Path)
	if c.StateLease != nil {
		return c.wrong(f.line, "with state_lease one of several replicas works, and only Kubernetes Secrets are seen by all; for files use state: DIRECTORY")
	}
	if line, taken := paths[f.Path]; taken {
		return c.wrong(f.line, "%s is written by line %d, too", f.Path, line)
	}
	paths[f.Path] = f.line
	if f.Mode == 0 {
		f.Mode = 0o600
	}
	if f.Reload != nil {
		if err := c.checkReload(f.Reload); err != nil {
			return err
		}
	}
	if err := c.checkForm(f); err != nil {
		return err
	}
	var err error
	if f.uid, err = idOf(f.Owner, lookUser); err != nil {
		return c.wrong(f.line, "owner: %w", err)
	}
	if f.gid, err = idOf(f.Group, lookGroup); err != nil {
		return c.wrong(f.line, "group: %w", err)
	}
	return nil
}

// checkForm looks at what is to be in the file.
func (c *Config) checkForm(f *File) error {
	if f.Template != "" && f.TemplateFile != "" {
		return c.wrong(f.line, "template and template_file exclude each other")
	}
	where, first := c.path, f.templateLine
	if f.TemplateFile != "" {
		text, err := os.ReadFile(f.TemplateFile)
		if err != nil {
			return c.wrong(f.line, "template_file: %w", err)
		}
		f.Template, where, first = string(text), f.TemplateFile, 1
	}
	if f.Template != "" && f.Format == "" {
		f.Format = "template"
	}
	switch f.Format {
	case "env", "shell", "json":
	case "value":
		if f.Key == "" || len(f.Secrets) != 1 {
			return c.wrong(f.line, "format value takes one value of one secret: say which with key, e.g. key: DB_PASSWORD")
		}
	case "template":
		if f.Template == "" {
			return c.wrong(f.line, "format template needs template or template_file")
		}
		parsed, err := parseTemplate(f.Path, f.Template)
		if err == nil && len(f.Secrets) > 1 {
			err = checkNames(parsed, f.Secrets)
		}
		if err != nil {
			return (&Config{path: where}).badTemplate(first, err)
		}
		return nil
	case "":
		return c.wrong(f.line, "%s needs a format (env, shell, json, value) or a template", f.Path)
	default:
		return c.wrong(f.line, "format: %q must be env, shell, json, value or template", f.Format)
	}
	if f.Template != "" {
		return c.wrong(f.line, "format %s and a template exclude each other", f.Format)
	}
	if f.Key != "" && f.Format != "value" {
		return c.wrong(f.line, "key goes with format: value")
	}
	return nil
}

var templateAt = regexp.MustCompile(`^template: .*?:(\d+)(:\d+)?: (.*)$`)

// badTemplate says at which line a template is wrong.
func (c *Config) badTemplate(first int, err error) error {
	if found := templateAt.FindStringSubmatch(err.Error()); found != nil {
		n, _ := strconv.Atoi(found[1])
		return c.wrong(first+n-1, "template: %s", found[3])
	}
	return c.wrong(first, "template: %w", err)
}

func (c *Config) checkReload(r *Reload) error {
	if r == nil {
		return nil
	}
	ways := 0
	for _, given := range []bool{len(r.Exec) > 0, r.Shell != "", r.Signal != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return c.wrong(r.line, "reload takes one of exec: [PROGRAM, ARGUMENT…], shell: LINE and signal: {pidfile: PATH, signal: HUP}")
	}
	if r.Timeout == 0 {
		r.Timeout = defaultTimeout
	}
	if s := r.Signal; s != nil {
		if !filepath.IsAbs(s.Pidfile) {
			return c.wrong(r.line, "signal: pidfile %q must be an absolute path", s.Pidfile)
		}
		if s.Signal == "" {
			s.Signal = "HUP"
		}
		if _, err := signalNamed(s.Signal); err != nil {
			return c.wrong(r.line, "signal: %w", err)
		}
	}
	return nil
}

// idOf returns the number of a user or group, -1 for none.
func idOf(name string, look func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if id, err := strconv.Atoi(name); err == nil && id >= 0 {
		return id, nil
	}
	text, err := look(name)
	if err != nil {
		return 0, fmt.Errorf("there is no %q on this machine", name)
	}
	id, err := strconv.Atoi(text)
	if err != nil {
		return 0, errors.New("this system has no owners of files")
	}
	return id, nil
}

func lookUser(name string) (string, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return found.Uid, nil
}

func lookGroup(name string) (string, error) {
	found, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return found.Gid, nil
}
