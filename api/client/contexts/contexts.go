package contexts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Fallback is the context that is used when none is current. A development cluster writes it.
const Fallback = "dev"

// Context says how to reach one cluster.
type Context struct {
	Addresses []string  `yaml:"addresses"`            // URLs of any nodes, as somebody gave them
	Learnt    []string  `yaml:"learnt,omitempty"`     // URLs of nodes that the cluster told
	LearntAt  time.Time `yaml:"learnt_at,omitempty"`  // when
	Token     string    `yaml:"token,omitempty"`      // the bearer token
	TokenFile string    `yaml:"token_file,omitempty"` // read it from here; takes second place
	CACert    string    `yaml:"ca_cert,omitempty"`    // path of a PEM file to trust
}

// Format writes the context without its token, for every verb.
func (c Context) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "contexts.Context{Addresses:%q Token:[redacted]}", c.Addresses)
}

// All returns every address, those that somebody gave first.
func (c Context) All() []string {
	all := slices.Clone(c.Addresses)
	for _, address := range c.Learnt {
		if !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	return all
}

// File is the content of a contexts file.
type File struct {
	Current  string             `yaml:"current,omitempty"` // name of the context in use; empty: Fallback
	Contexts map[string]Context `yaml:"contexts"`
}

// Path returns where the file is: $XDG_CONFIG_HOME/broker/contexts.yaml, else
// ~/.config/broker/contexts.yaml. getenv is os.Getenv or stands for it.
func Path(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "broker", "contexts.yaml"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("neither XDG_CONFIG_HOME nor HOME is set: there is no place for contexts")
	}
	return filepath.Join(home, ".config", "broker", "contexts.yaml"), nil
}

// Load reads a contexts file. A missing one is empty.
func Load(path string) (*File, error) {
	file := &File{Contexts: map[string]Context{}}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return file, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading contexts: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(file); err != nil && len(bytes.TrimSpace(content)) > 0 {
		// The decoder's own message may quote a token.
		return nil, fmt.Errorf("reading contexts: %s is not a contexts file", path)
	}
	if file.Contexts == nil {
		file.Contexts = map[string]Context{}
	}
	return file, nil
}

// Save replaces the contexts file in one step. Its directory is made when missing.
func (f *File) Save(path string) (err error) {
	content, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding contexts: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of contexts: %w", err)
	}
	next, err := os.CreateTemp(dir, ".contexts-*") // 0600 from the start
	if err != nil {
		return fmt.Errorf("writing contexts: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing contexts: %w", errors.Join(err, os.Remove(next.Name())))
		}
	}()
	if _, err := next.Write(content); err != nil {
		return errors.Join(err, next.Close())
	}
	if err := errors.Join(next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), path)
}

// Names returns the names of all contexts, sorted.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.Contexts))
	for name := range f.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Chosen returns the context in use: the one named, else the current one, else [Fallback]. Without
// any of them it reports false. A name that is not there is an error.
func (f *File) Chosen(name string) (chosen string, context Context, ok bool, err error) {
	for _, candidate := range []string{name, f.Current} {
		if candidate == "" {
			continue
		}
		context, ok := f.Contexts[candidate]
		if !ok {
			return "", Context{}, false, fmt.Errorf("there is no context %q: there is %s", candidate, list(f.Names()))
		}
		return candidate, context, true, nil
	}
	context, ok = f.Contexts[Fallback]
	return Fallback, context, ok, nil
}

// ReadToken returns the context's token, from its file if it stands there. A missing token is empty.
func (c Context) ReadToken() (string, error) {
	if c.Token != "" || c.TokenFile == "" {
		return c.Token, nil
	}
	content, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return "", fmt.Errorf("reading the token file: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// Remember writes a context into the file at path, beside those that are there.
func Remember(path, name string, context Context) error {
	file, err := Load(path)
	if err != nil {
		return err
	}
	file.Contexts[name] = context
	return file.Save(path)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
