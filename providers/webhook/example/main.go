// Example is a service for the provider "webhook": it makes logins for itself, with which its own page /hello is
// opened. Copy it and put your system in the place of the type store.
//
//	go run ./providers/webhook/example -listen 127.0.0.1:8443 -cert server.pem -key server.key -secrets secrets.txt -data logins.json
//
// Without -cert it serves HTTP, on loopback only.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8443", "address to listen on")
	cert := flag.String("cert", "", "file of the server's certificate, PEM")
	key := flag.String("key", "", "file of its key, PEM")
	secrets := flag.String("secrets", "", "file with the connection's secret; a second line is accepted too, while it is being changed")
	data := flag.String("data", "logins.json", "file that keeps the logins")
	flag.Parse()
	if err := run(*listen, *cert, *key, *secrets, *data); err != nil {
		log.Fatal(err)
	}
}

func run(listen, cert, key, secretsFile, data string) error {
	content, err := os.ReadFile(secretsFile)
	if err != nil {
		return fmt.Errorf("reading the secrets: %w", err)
	}
	s := &service{secrets: strings.Fields(string(content))}
	if len(s.secrets) == 0 {
		return errors.New("the file of secrets holds none")
	}
	if s.store, err = openStore(data); err != nil {
		return err
	}
	server := &http.Server{Addr: listen, Handler: s.routes(), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	if cert != "" {
		return server.ListenAndServeTLS(cert, key)
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		return errors.New("give -cert and -key: credentials do not cross a network in clear")
	}
	return server.ListenAndServe()
}

// service answers the broker's calls.
type service struct {
	secrets []string
	store   *store
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	for operation, answer := range map[string]func(call) (any, error){
		"check": s.check, "create": s.create, "renew": s.renew, "revoke": s.revoke, "confirm_absent": s.confirmAbsent, "list": s.list, "log_in": s.logIn,
	} {
		mux.HandleFunc("POST /broker/"+operation, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, answer) })
	}
	mux.HandleFunc("GET /hello", s.hello)
	return mux
}

// call is every request of the contract in one; each operation has only some of it.
type call struct {
	RequestID string            `json:"request_id"`
	Cluster   string            `json:"cluster"`
	System    string            `json:"system"`
	Login     login             `json:"login"`
	Lease     string            `json:"lease"`
	Deadline  time.Time         `json:"deadline"`
	NotBefore time.Time         `json:"not_before"`
	Prefix    string            `json:"prefix"`
	Cursor    string            `json:"cursor"`
	Options   json.RawMessage   `json:"options"`
	Values    map[string]string `json:"values"`
}

type login struct {
	Name      string          `json:"name"`
	ExpiresAt time.Time       `json:"expires_at"`
	Options   json.RawMessage `json:"options"`
}

// failure is an answer other than success.
type failure struct {
	status  int
	message string
}

func (f failure) Error() string { return f.message }

func fail(status int, format string, args ...any) error {
	return failure{status, fmt.Sprintf(format, args...)}
}

// serve proves that the broker calls, and answers it.
func (s *service) serve(w http.ResponseWriter, r *http.Request, answer func(call) (any, error)) {
	reply, err := s.handle(r, answer)
	status := http.StatusOK
	if err != nil {
		var f failure
		if !errors.As(err, &f) {
			log.Printf("%s: %v", r.URL.Path, err)
			f = failure{http.StatusInternalServerError, "the service failed; its log says more"}
		}
		status, reply = f.status, map[string]string{"message": f.message}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(reply)
}

func (s *service) handle(r *http.Request, answer func(call) (any, error)) (any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, fail(http.StatusBadRequest, "the request could not be read")
	}
	if err := s.verify(r, body); err != nil {
		return nil, err
	}
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, fail(http.StatusBadRequest, "the request is no JSON of the contract")
	}
	if c.System != "" && c.System != s.store.system() {
		return nil, fail(http.StatusMisdirectedRequest, "this is system %s", s.store.system())
	}
	return answer(c)
}

// window is how far a request's time may be off.
const window = 5 * time.Minute

// verify checks the signature: HMAC-SHA-256 of time stamp, method, path and body, by the shared secret.
func (s *service) verify(r *http.Request, body []byte) error {
	stamp := r.Header.Get("Broker-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > window {
		return fail(http.StatusUnauthorized, "the request's time is missing or off by more than %s", window)
	}
	given, _ := strings.CutPrefix(r.Header.Get("Broker-Signature"), "v1=")
	for _, secret := range s.secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "\n" + r.Method + "\n" + r.URL.EscapedPath() + "\n"))
		mac.Write(body)
		if hmac.Equal([]byte(given), []byte(hex.EncodeToString(mac.Sum(nil)))) {
			return nil
		}
	}
	return fail(http.StatusUnauthorized, "the signature is wrong")
}

// success is an answer of success, with what else the operation says.
func (s *service) success(c call, more map[string]any) (any, error) {
	reply := map[string]any{"request_id": c.RequestID, "system": s.store.system()}
	for name, value := range more {
		reply[name] = value
	}
	return reply, nil
}
