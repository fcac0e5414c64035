package agenttest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"sync"
)

// APIServer is as much of Kubernetes as an agent sees: Secrets and Leases with versions and preconditions. Its zero
// value has none of them.
type APIServer struct {
	Token string // of those who are answered; empty: everybody

	mu      sync.Mutex
	version int
	objects map[string]map[string]any // by path
}

var objectPath = regexp.MustCompile(`^/(api/v1|apis/coordination\.k8s\.io/v1)/namespaces/[a-z0-9-]+/(secrets|leases)(/[a-z0-9.-]+)?$`)

// ServeHTTP answers a request.
func (s *APIServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(code int, reason string) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "code": code, "reason": reason, "message": reason})
	}
	if s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		refuse(http.StatusUnauthorized, "Unauthorized")
		return
	}
	if !objectPath.MatchString(r.URL.Path) {
		refuse(http.StatusNotFound, "NotFound")
		return
	}
	path := r.URL.Path
	var sent map[string]any
	if r.Method != http.MethodGet && r.ContentLength != 0 {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			refuse(http.StatusBadRequest, "BadRequest")
			return
		}
		if r.Method == http.MethodPost {
			path += "/" + sent["metadata"].(map[string]any)["name"].(string)
		}
	}
	found, there := s.objects[path]
	switch {
	case r.Method == http.MethodPost && there:
		refuse(http.StatusConflict, "AlreadyExists")
		return
	case r.Method != http.MethodPost && !there:
		refuse(http.StatusNotFound, "NotFound")
		return
	case r.Method == http.MethodDelete:
		if wanted, _ := sent["preconditions"].(map[string]any); wanted != nil && wanted["resourceVersion"] != found["metadata"].(map[string]any)["resourceVersion"] {
			refuse(http.StatusConflict, "Conflict")
			return
		}
		delete(s.objects, path)
	case sent != nil:
		metadata := sent["metadata"].(map[string]any)
		if there && metadata["resourceVersion"] != found["metadata"].(map[string]any)["resourceVersion"] {
			refuse(http.StatusConflict, "Conflict")
			return
		}
		s.version++
		metadata["resourceVersion"] = strconv.Itoa(s.version)
		if s.objects == nil {
			s.objects = map[string]map[string]any{}
		}
		s.objects[path] = sent
	}
	_ = json.NewEncoder(w).Encode(s.objects[path])
}
