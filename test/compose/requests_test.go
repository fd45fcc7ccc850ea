package compose_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
)

// sent is a request of an installation, from the audit log.
type sent struct {
	verb, resource, name, manager string
	code                          int
	dryRun, write                 bool
	received                      time.Time
}

func (s sent) String() string {
	text := fmt.Sprintf("%s %s %s: %d", s.verb, s.resource, s.name, s.code)
	if s.dryRun {
		text += " (dry run)"
	}
	return text
}

// notAboutChildren are resources that an installation writes and that no parent causes.
var notAboutChildren = []string{"leases", "selfsubjectaccessreviews", "selfsubjectrulesreviews"}

// audit returns what the audit log has of the installation since mark, but what is about its lease
// and its rights. A watch is among that when it has ended.
func (r *rig) audit(t testing.TB, mark cluster.AuditMark) []cluster.AuditEvent {
	t.Helper()
	user := "system:serviceaccount:" + r.leases + ":" + r.account
	return slices.DeleteFunc(shared.AuditSince(t, mark, user), func(e cluster.AuditEvent) bool {
		return e.User.Username != user || slices.Contains(notAboutChildren, e.ObjectRef.Resource)
	})
}

// endedWatches returns the URIs of the watches since mark by resource. The process must have ended.
// The API server ends them all at one time and notes them one after the other, so they are read
// again when each of the resources has one in the audit log.
func (p *replica) endedWatches(t testing.TB, mark cluster.AuditMark, resources ...string) (watches map[string][]string) {
	t.Helper()
	read := func() {
		watches = map[string][]string{}
		for _, e := range p.rig.audit(t, mark) {
			if e.Verb == "watch" {
				watches[e.ObjectRef.Resource] = append(watches[e.ObjectRef.Resource], e.RequestURI)
			}
		}
	}
	p.Await(t, "the end of the watches in the audit log", func() bool {
		read()
		return !slices.ContainsFunc(resources, func(resource string) bool { return len(watches[resource]) == 0 })
	})
	read()
	return watches
}

// sent returns the requests of the installation since mark, as audit does.
func (r *rig) sent(t testing.TB, mark cluster.AuditMark) []sent {
	t.Helper()
	var all []sent
	for _, e := range r.audit(t, mark) {
		uri, err := url.Parse(e.RequestURI)
		if err != nil {
			t.Fatalf("reading the audit log: %v", err)
		}
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		all = append(all, sent{
			verb: e.Verb, resource: resource, name: e.ObjectRef.Name, manager: uri.Query().Get("fieldManager"),
			code: e.ResponseStatus.Code, dryRun: uri.Query().Has("dryRun"), write: e.IsWrite(), received: e.RequestReceived.Time,
		})
	}
	return all
}

// judge fails the test if a write of the installation could meet another object than it was meant
// for.
func (r *rig) judge(t testing.TB) {
	t.Helper()
	for _, e := range r.audit(t, r.begun) {
		if !e.IsWrite() || e.ObjectRef.Resource == "events" || e.ObjectRef.Namespace == r.leases || len(e.RequestObject) == 0 {
			continue // Bodies with credentials are not in the log.
		}
		if strings.Contains(e.RequestURI, "dryRun=All") {
			continue
		}
		if complaint := unguarded(e); complaint != "" {
			t.Errorf("%s %s: %s: %s", e.Verb, e.RequestURI, complaint, e.RequestObject)
		}
	}
}

// unguarded says what is missing in a write.
func unguarded(e cluster.AuditEvent) string {
	var body struct {
		Metadata, Preconditions struct{ UID, ResourceVersion string }
	}
	// A JSON patch is a list.
	if err := json.Unmarshal(e.RequestObject, &body); err != nil {
		if !strings.Contains(string(e.RequestObject), `"/metadata/uid"`) {
			return "a patch without a test of the UID"
		}
		return ""
	}
	switch {
	case e.Verb == "delete" && (body.Preconditions.UID == "" || body.Preconditions.ResourceVersion == ""):
		return "a delete without preconditions"
	case e.Verb == "delete":
		return ""
	case e.Verb != "patch":
		return "neither a patch nor a delete"
	case e.ObjectRef.Subresource == "status" && body.Metadata.ResourceVersion == "":
		return "a status for any version"
	case body.Metadata.UID == "" && body.Metadata.ResourceVersion != "1":
		return "it neither creates nor has a UID"
	}
	return ""
}

// writes are the requests since mark that would change something, dry runs included. Events are
// left out.
func (r *rig) writes(t testing.TB, mark cluster.AuditMark) []sent {
	t.Helper()
	return slices.DeleteFunc(r.sent(t, mark), func(s sent) bool {
		return !s.write || s.resource == "events" || r.leases != r.namespace && strings.HasPrefix(s.name, leaseName+"-")
	})
}

// noWrites fails the test if the installation has written something since mark.
func (r *rig) noWrites(t testing.TB, mark cluster.AuditMark, when string) {
	t.Helper()
	if found := r.writes(t, mark); len(found) > 0 {
		t.Errorf("%s there are %d writes, want none: %v", when, len(found), found[:min(len(found), 20)])
	}
}
