package audit_test

import (
	"context"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"broker/access/audit"
)

// BenchmarkRequestAndOutcome tells what the log adds to a request, in CPU time of the whole process: the writer's, that of
// flushes and the garbage collector's too.
func BenchmarkRequestAndOutcome(b *testing.B) {
	for _, callers := range []int{1, 32} {
		b.Run("callers="+strconv.Itoa(callers), func(b *testing.B) {
			l := mustOpen(b, filepath.Join(b.TempDir(), "audit.log"), func(c *audit.Config) { c.Flush = time.Second })
			r, o := request("01JD0000000000000000000000"), outcome("01JD0000000000000000000000")
			r.IdempotencyKey = "01JD0000000000000000000001"
			b.ReportAllocs()
			b.SetParallelism(callers)
			began := cpu(b)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := l.Request(context.Background(), r); err != nil {
						b.Error(err)
						return
					}
					l.Outcome(context.Background(), o)
				}
			})
			b.StopTimer()
			b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
			mustClose(b, l)
		})
	}
}

func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
