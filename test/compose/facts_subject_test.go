package compose_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// unchanged fails the test if the object is not as it was.
func (s *subject) unchanged(t *testing.T, before answer) {
	t.Helper()
	now := s.get(t)
	if now.object.Metadata.ResourceVersion != before.object.Metadata.ResourceVersion {
		t.Errorf("the object has changed from\n%s\nto\n%s", before.text, now.text)
	}
}

// owned fails the test if a path is, or is not, in a manager's entry; no path means the entry.
func (s *subject) owned(t *testing.T, a answer, manager string, operation metav1.ManagedFieldsOperationType, want bool, path ...string) {
	t.Helper()
	if got := a.object.owns(t, manager, operation, path...); got != want {
		t.Errorf("the entry of %q by %s has %q: %t, want %t; managedFields:\n%s", manager, operation, path, got, want, a.object.managed())
	}
}

// onlyMetadata fails the test if the object has more than its metadata.
func (s *subject) onlyMetadata(t *testing.T, a answer) {
	t.Helper()
	if a.object.Kind != "PartialObjectMetadata" || a.object.Data != nil || a.object.Spec != nil {
		t.Errorf("the answer is %s, want metadata alone", a.text)
	}
}

// value returns the field of type text.
func (o stored) value() (string, bool) {
	if value, ok := o.Data["a"]; ok {
		return value, true
	}
	value, ok := o.Spec["a"].(string)
	return value, ok
}

// delete deletes the object if it has the uid and the resourceVersion.
func (s *subject) delete(t *testing.T, meta metav1.ObjectMeta) answer {
	t.Helper()
	body := fmt.Sprintf(`{"preconditions": {"uid": %q, "resourceVersion": %q}}`, meta.UID, meta.ResourceVersion)
	return s.send(t, request{method: http.MethodDelete, body: body})
}

// removeFinalizers lets an object go, if it is there.
func (s *subject) removeFinalizers(t *testing.T) {
	t.Helper()
	s.patch(t, other, mergePatch, `{"metadata": {"finalizers": null}}`)
}

// watch returns the events of the metadata of objects with a label, which end with the test.
func (s *subject) watch(t *testing.T, selector, resourceVersion string) *json.Decoder {
	t.Helper()
	query := url.Values{"watch": {"true"}, "labelSelector": {selector}, "resourceVersion": {resourceVersion}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.config.Host+s.collection()+"?"+query.Encode(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", metadataOnly)
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("watching: %s", resp.Status)
	}
	return json.NewDecoder(resp.Body)
}
