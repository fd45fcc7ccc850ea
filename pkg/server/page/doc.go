// Package page is the status page: what a statusz.Reporter says, as HTML and as JSON. It keeps
// nothing, asks the API server for nothing, and decides nothing about who may read it: package
// server puts it behind the guard that metrics have. It answers GET and HEAD alone.
//
//	/                        everything at a glance
//	/definitions             all definitions; ?state=STATE chooses some, page=N goes on
//	/definitions/NAME        one definition
//	/objects/KIND/NAMESPACE/NAME, /objects/KIND/NAME for one without a namespace
//	                         one object; ?apiVersion=VERSION says which, where kinds share a name
//	/attention               objects that are blocked, failing, fought over, held or refused
//	/sources, /config        what is watched; the revisions of the config with their differences
//	/search?q=TEXT           definitions and objects whose names contain a text
//	/statusz                 the same as /
//
// With format=json in the query some of them answer with a type of package statusz: /statusz with
// Report, /definitions/NAME with Definition, /objects/… with ObjectReport, and /search with Found.
// items=N, from 0 to 100, says how many objects each list of a Report or Definition has at most;
// 10 by default. Errors are plain text: 404 for what is not known, 400 for a query that cannot be
// meant, 503 while too many requests are being answered.
//
//	mux.Handle("GET /", page.New(reporter, logger))
package page
