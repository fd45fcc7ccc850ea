package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

// recordOf is the record of the definition that owns these kinds of the core.
func recordOf(kinds ...string) Record {
	var owns []handlers.OwnedKind
	for _, kind := range kinds {
		owns = append(owns, handlers.OwnedKind{APIVersion: "v1", Kind: kind})
	}
	return RecordOf("demo.kooperd.dev/v1", "Website", owns, nil, "")
}

// TestStateRemembersARecordThatIsGone changes the ConfigMap by hand between two changes of a
// definition.
func TestStateRemembersARecordThatIsGone(t *testing.T) {
	damage := map[string]func(client corev1client.ConfigMapInterface) error{
		"nothing happens": func(corev1client.ConfigMapInterface) error { return nil },
		"the ConfigMap is deleted": func(client corev1client.ConfigMapInterface) error {
			return client.Delete(t.Context(), "records", metav1.DeleteOptions{})
		},
		"the record is damaged": func(client corev1client.ConfigMapInterface) error {
			records, err := client.Get(t.Context(), "records", metav1.GetOptions{})
			if err != nil {
				return err
			}
			records.Data["websites"] = "{"
			_, err = client.Update(t.Context(), records, metav1.UpdateOptions{})
			return err
		},
	}
	for name, change := range damage {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset().CoreV1().ConfigMaps("kooper-system")
			state := NewState(client, "kooper-system", "records")
			activate := func(record Record, want ...OwnedRecord) {
				t.Helper()
				former, _, err := state.Activate(t.Context(), "websites", record)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, former); diff != "" {
					t.Errorf("owned before (-want +got):\n%s", diff)
				}
			}
			secret, claim := OwnedRecord{APIVersion: "v1", Kind: "Secret"}, OwnedRecord{APIVersion: "v1", Kind: "PersistentVolumeClaim"}
			activate(recordOf("ConfigMap", "Secret", "PersistentVolumeClaim"))
			if err := change(client); err != nil {
				t.Fatal(err)
			}
			activate(recordOf("ConfigMap"), secret, claim)
			if err := change(client); err != nil {
				t.Fatal(err)
			}
			if err := state.Release(t.Context(), "websites", secret); err != nil {
				t.Fatal(err)
			}
			// Another process has what is written alone.
			state = NewState(client, "kooper-system", "records")
			activate(recordOf(), OwnedRecord{APIVersion: "v1", Kind: "ConfigMap"}, claim)
		})
	}
}
