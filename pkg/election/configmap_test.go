package election

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestConfigMapRecord reads annotations as old candidates wrote them and writes one that they can
// read.
func TestConfigMapRecord(t *testing.T) {
	const acquired, renewed = int64(1532426405_000000), int64(1532427000_000000)
	cases := map[string]struct {
		annotation string
		want       record
	}{
		"client-go": {
			annotation: `{"holderIdentity":"host_uuid","leaseDurationSeconds":15,"acquireTime":"2018-07-24T10:00:05Z","renewTime":"2018-07-24T10:10:00Z","leaderTransitions":3}`,
			want:       record{holder: "host_uuid", seconds: 15, transitions: 3, acquired: acquired, renewed: renewed},
		},
		"another zone": {
			annotation: `{"holderIdentity":"a","leaseDurationSeconds":15,"acquireTime":"2018-07-24T12:00:05+02:00","renewTime":"2018-07-24T10:10:00Z","leaderTransitions":0}`,
			want:       record{holder: "a", seconds: 15, acquired: acquired, renewed: renewed},
		},
		"released": {
			annotation: `{"holderIdentity":"","leaseDurationSeconds":1,"acquireTime":null,"renewTime":null,"leaderTransitions":4}`,
			want:       record{seconds: 1, transitions: 4},
		},
		"ours": {
			annotation: `{"holderIdentity":"k","leaseDurationSeconds":15,"acquireTime":"2018-07-24T10:00:05.000001Z","renewTime":"2018-07-24T10:10:00.123456Z","leaderTransitions":1}`,
			want:       record{holder: "k", seconds: 15, transitions: 1, acquired: acquired + 1, renewed: renewed + 123456},
		},
		"not JSON":    {annotation: `nonsense`, want: record{holder: unreadableHolder, seconds: unreadableSeconds}},
		"wrong types": {annotation: `{"holderIdentity":5}`, want: record{holder: unreadableHolder, seconds: unreadableSeconds}},
		"bad time":    {annotation: `{"holderIdentity":"a","renewTime":"yesterday"}`, want: record{holder: unreadableHolder, seconds: unreadableSeconds}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cm := &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: "lock", Namespace: "ns", ResourceVersion: "7", Annotations: map[string]string{
					leaderAnnotation: tc.annotation, "other": "kept",
				}},
				Data: map[string]string{"also": "kept"},
			}
			lease, err := configMapLock{}.decode(cm)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, recordOf(lease), cmp.AllowUnexported(record{})); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			object, err := configMapLock{}.encode(lease)
			if err != nil {
				t.Fatal(err)
			}
			written, ok := object.(*corev1.ConfigMap)
			if !ok {
				t.Fatalf("encoding gives a %T", object)
			}
			again, err := configMapLock{}.decode(written)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, recordOf(again), cmp.AllowUnexported(record{})); diff != "" {
				t.Errorf("record after writing it (-want +got):\n%s", diff)
			}
			delete(written.Annotations, leaderAnnotation)
			delete(cm.Annotations, leaderAnnotation)
			if diff := cmp.Diff(cm, written); diff != "" {
				t.Errorf("rest of the config map (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigMapWithoutRecordIsHeldByNobody(t *testing.T) {
	lease, err := configMapLock{}.decode(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "lock"}})
	if err != nil {
		t.Fatal(err)
	}
	if r := recordOf(lease); r.held() {
		t.Errorf("record is %+v, want one without a holder", r)
	}
}
