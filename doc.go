// Package kooperd holds no code: it is the map of the module, and the home of the tests that keep
// the map true.
//
// The packages, in the order in which they may know each other. Imports point up this list only,
// and packages of one level do not import each other:
//
//	schemas, pkg/signals, pkg/status,           the config language in CUE; the context of a main; states of definitions;
//	pkg/expression, pkg/manifest                the language of paths and CEL expressions; files with objects
//	pkg/handlers, pkg/events, pkg/kinds,        the contract of a handler; the Kubernetes events that are written; which kinds there are;
//	pkg/queue, pkg/statusz, pkg/telemetry,      the work queue; what the status page shows, as types; metrics, logs and health;
//	pkg/trigger, pkg/cases                      which changes call a handler: ignore and where; files with tests of composers
//	pkg/hook                                    the protocol of hooks, whatever carries it
//	pkg/config, pkg/kube, pkg/election,         files to a checked config; the API server; lease to term;
//	pkg/fence, pkg/portforward, pkg/server,     the admission policy; a port of a pod; the HTTP endpoints;
//	pkg/handlers/<name>                         the built-in plugins
//	pkg/access, pkg/history, pkg/offline        the rights that a config needs, as RBAC rules; the last calls for each object; an API server in memory
//	pkg/compose                                 the runtime of composers: children are applied, kept right and deleted
//	pkg/engine                                  config, plugins and API server to running controllers
//	pkg/reload                                  a changed config to changed controllers
//	pkg/daemon                                  wiring, lifecycle and the commands
//	cmd/<name>, examples/<name>, docs/generate  programs; the last one writes the reference pages
//
// To write a plugin begin at pkg/handlers; to build a daemon with it, at examples/custom-build, at
// examples/team-namespaces for one that makes other objects, or at examples/chaos-operator for one
// with a custom resource.
package kooperd
