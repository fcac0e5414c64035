package vault

import (
	"net/http"
	"strconv"
	"strings"

	"broker/api/types"
)

// health answers whether requests had better come here. Every node serves, so one that does not lead answers 200 too,
// unless it is configured, or asked, to say otherwise.
func (s *Server) health(w http.ResponseWriter, r *request) error {
	node := s.config.Native.Node()
	query := r.URL.Query()
	code := func(name string, otherwise int) (int, error) {
		asked := query.Get(name)
		if asked == "" {
			return otherwise, nil
		}
		status, err := strconv.Atoi(asked)
		if err != nil || status < 200 || status > 599 {
			return 0, refuse(name + " must be a status from 200 to 599")
		}
		return status, nil
	}
	status, err := code("activecode", http.StatusOK)
	if err != nil {
		return err
	}
	standby, err := code("standbycode", s.config.StandbyStatus)
	if err != nil {
		return err
	}
	unready, err := code("haunhealthycode", http.StatusServiceUnavailable)
	if err != nil {
		return err
	}
	standbyOK := query.Has("standbyok") && query.Get("standbyok") != "false"
	switch {
	case node.Unready != nil:
		status = unready
	case !node.Leads && !standbyOK:
		status = standby
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	write(w, status, map[string]any{
		"initialized": true, "sealed": false, "standby": !node.Leads, "performance_standby": false,
		"replication_performance_mode": "disabled", "replication_dr_mode": "disabled", "enterprise": false,
		"server_time_utc": s.config.Now().Unix(), "version": s.config.Version, "cluster_name": "broker", "cluster_id": node.ClusterID,
		"ha_connection_healthy": node.Unready == nil,
	})
	return nil
}

func (s *Server) leader(w http.ResponseWriter, _ *request) error {
	write(w, http.StatusOK, map[string]any{
		"ha_enabled": true, "is_self": s.config.Native.Node().Leads, "leader_address": s.config.Native.Leader(),
		"leader_cluster_address": "", // for members only
		"performance_standby":    false, "performance_standby_last_remote_wal": 0,
	})
	return nil
}

// sealStatus tells that nothing is sealed: a node whose keys are not there does not serve.
func (s *Server) sealStatus(w http.ResponseWriter, _ *request) error {
	write(w, http.StatusOK, map[string]any{
		"type": "shamir", "initialized": true, "sealed": false, "t": 1, "n": 1, "progress": 0, "nonce": "", "migration": false,
		"recovery_seal": false, "storage_type": "raft", "version": s.config.Version, "build_date": "",
		"cluster_name": "broker", "cluster_id": s.config.Native.Node().ClusterID,
	})
	return nil
}

func (s *Server) initStatus(w http.ResponseWriter, _ *request) error {
	write(w, http.StatusOK, map[string]any{"initialized": true})
	return nil
}

// mounts lists the environments that the caller sees: in the data, and beside it, as older clients expect.
func (s *Server) mounts(w http.ResponseWriter, r *request) error {
	environments, err := s.config.Native.Environments(r.Context())
	if err != nil {
		return err
	}
	data := map[string]any{}
	for _, one := range environments {
		data[one.Name+"/"] = mountOf(one)
	}
	out := map[string]any{
		"request_id": w.Header().Get(types.HeaderRequestID), "lease_id": "", "renewable": false, "lease_duration": 0,
		"wrap_info": nil, "warnings": nil, "auth": nil, "data": data,
	}
	for name, one := range data {
		out[name] = one
	}
	write(w, http.StatusOK, out)
	return nil
}

// mount tells what mount a path is in. Clients ask it before they read, to know how.
func (s *Server) mount(w http.ResponseWriter, r *request) error {
	segments := strings.Split(r.rest, "/")
	if len(segments) < 2 {
		return notMounted(r.rest)
	}
	name := segments[0] + "/" + segments[1]
	found, err := s.config.Native.Environment(r.Context(), name)
	if err != nil {
		return as(err, notMounted(r.rest), codeNotFound)
	}
	data := mountOf(found)
	data["path"] = name + "/"
	write(w, http.StatusOK, &answer{Data: data})
	return nil
}

// notMounted tells of a path that is in no mount as of one that may not be seen, as Vault does.
func notMounted(path string) *types.Problem {
	p := refuse("there is no mount at " + strconv.Quote(path) + ": mounts are environments, app/env")
	p.Status, p.Code = http.StatusForbidden, codeForbidden
	return p
}

func mountOf(e types.Environment) map[string]any {
	return map[string]any{
		"type": mountType, "description": e.Description, "accessor": mountType + "_" + strings.ReplaceAll(e.Name, "/", "_"),
		"uuid": "", "local": false, "seal_wrap": false, "external_entropy_access": false, "options": nil,
		"config": map[string]any{"default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": false},
	}
}
