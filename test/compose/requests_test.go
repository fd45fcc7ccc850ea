package compose_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
)

// sent is a request of an installation, from the audit log.
type sent struct {
	verb, resource, name, manager string
	code                          int
	dryRun, write                 bool
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

// sent returns the requests of the installation since mark, but those for its lease and about its
// rights. A watch is among them when it has ended.
func (r *rig) sent(t testing.TB, mark cluster.AuditMark) []sent {
	t.Helper()
	var all []sent
	for _, e := range shared.AuditSince(t, mark) {
		if e.User.Username != "system:serviceaccount:"+r.leases+":"+r.account || slices.Contains(notAboutChildren, e.ObjectRef.Resource) {
			continue
		}
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
			code: e.ResponseStatus.Code, dryRun: uri.Query().Has("dryRun"), write: e.IsWrite(),
		})
	}
	return all
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
