// Package marker is the work that the replicas of the failover tests do: every call writes who it
// was into one ConfigMap, so that what the API server has accepted shows who worked, and when.
// kooperd does it as the plugin "marker", the yardstick calls the Writer itself.
//
// It is for tests. It writes without a precondition on purpose: nothing but the election and the
// gate keeps two replicas from writing the same marker.
//
//	handler: marker: {interval: "20ms", writeTimeout: "500ms"}
package marker
