package main

import (
	"net/http"

	"broker/api"
	"broker/api/console"
	"broker/fsm"
)

// withConsole returns what serves clients: the API with the web console beside it, or the API alone. Whoever shuts the
// server down calls what ends the console's streams.
func (n *node) withConsole(server *api.Server) (handler http.Handler, end func(), err error) {
	if n.config.Console == "off" {
		return server, func() {}, nil
	}
	pages, err := console.New(console.Config{
		API: server, Admit: server.Admit, Encrypted: server.Encrypted, NodeID: n.config.NodeID, Version: version, Logger: n.log.With("component", "console"),
		ClusterID: func() (id string) {
			_ = n.state.Peek(func(v *fsm.View) { id = v.Meta().ClusterID }) // a closed state has no id
			return id
		},
	})
	if err != nil {
		return nil, nil, err
	}
	return pages.Handler(), pages.Close, nil
}
