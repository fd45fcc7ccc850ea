// Package hook makes composers of hooks: programs and services that are asked with a request in
// JSON which objects should exist, and answer in JSON. It speaks the protocol of metacontroller's
// hooks, in both of its versions and for both of its controllers, so that hooks that exist go on
// without a change. docs/hooks.md says what differs.
//
// The package sends nothing itself: a plugin brings a Caller, which carries one request to one hook
// and its answer back, and takes Config, Schema, Validate, Owns, and Reads into its own config.
package hook
