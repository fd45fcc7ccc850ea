// Package log is the plugin "log": one structured line for every call, with what identifies the
// object and any of its fields by JSONPath.
//
// It changes nothing in the cluster and hides nothing: a path into a Secret's data puts that data
// into the log.
//
//	handler: log: fields: node: ".spec.nodeName"
package log
