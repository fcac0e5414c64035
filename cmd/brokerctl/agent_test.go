package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"broker/agent/agenttest"
)

// kubernetesToken is what the API server takes.
const kubernetesToken = "of-a-service-account"

// kubernetes starts an API server and leaves its address, CA and token where the script finds them. By hand a real one
// takes its place: its address, CA file and token file in KUBERNETES_TEST, separated by commas.
func kubernetes(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		var address string
		var ca, token []byte
		if real := os.Getenv("KUBERNETES_TEST"); real != "" {
			parts := strings.Split(real, ",")
			address, ca, token = parts[0], []byte(ts.ReadFile(parts[1])), []byte(ts.ReadFile(parts[2]))
		} else {
			server := httptest.NewTLSServer(&agenttest.APIServer{Token: kubernetesToken})
			t.Cleanup(server.Close)
			address, token = server.URL, []byte(kubernetesToken+"\n")
			ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		}
		ts.Setenv("KUBERNETES", address)
		ts.Check(os.WriteFile(ts.MkAbs("kubernetes-ca.pem"), ca, 0o600))
		ts.Check(os.WriteFile(ts.MkAbs("kubernetes-token"), token, 0o600))
	}
}

// waitfor is a command of scripts.
func waitfor() {
	seconds, err := strconv.Atoi(os.Args[1])
	for giveUp := time.Now().Add(time.Duration(seconds) * time.Second); err == nil; time.Sleep(20 * time.Millisecond) {
		if exec.Command("sh", "-c", os.Args[2]).Run() == nil {
			os.Exit(0)
		}
		if time.Now().After(giveUp) {
			break
		}
	}
	fmt.Fprintln(os.Stderr, "waited in vain for:", os.Args[2])
	os.Exit(1)
}

// manager listens as a service manager does, and writes what it hears into a file.
func manager(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		path := ts.MkAbs("notify")
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		ts.Check(err)
		heard, err := os.Create(ts.MkAbs(args[0]))
		ts.Check(err)
		var hearing sync.WaitGroup
		hearing.Go(func() {
			buffer := make([]byte, 4096)
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				_, _ = heard.Write(append(buffer[:n:n], '\n')) // the script misses what is not written
			}
		})
		t.Cleanup(func() { conn.Close(); hearing.Wait(); heard.Close() })
		ts.Setenv("NOTIFY_SOCKET", path)
	}
}

// fetch gets a page into a file, once it answers with success.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	for giveUp := time.Now().Add(30 * time.Second); ; {
		response, err := http.Get(args[0])
		ts.Check(err)
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		ts.Check(err)
		if response.StatusCode == http.StatusOK {
			ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
			return
		}
		if time.Now().After(giveUp) {
			ts.Fatalf("%s: %s", response.Status, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// object gets an object of Kubernetes into a file, or with a method does something else with it.
func object(ts *testscript.TestScript, _ bool, args []string) {
	method, path, file := http.MethodGet, args[0], args[1]
	if len(args) == 3 {
		method = args[2]
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ts.ReadFile("kubernetes-ca.pem")))
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = pool
	var body io.Reader
	if method == http.MethodPost {
		body = bytes.NewReader([]byte(ts.ReadFile(file)))
	}
	request, err := http.NewRequest(method, ts.Getenv("KUBERNETES")+path, body)
	ts.Check(err)
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile("kubernetes-token")))
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport}).Do(request)
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode/100 != 2 {
		ts.Fatalf("%s %s: %s", method, path, text)
	}
	var read any
	ts.Check(json.Unmarshal(text, &read))
	text, err = json.MarshalIndent(read, "", "  ")
	ts.Check(err)
	if method != http.MethodPost {
		ts.Check(os.WriteFile(ts.MkAbs(file), text, 0o600))
	}
}
