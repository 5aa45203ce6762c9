package wasi

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// errno is what a function of preview1 returns. It is an error so that functions
// here can return it beside those of the host.
type errno uint16

// The errnos of preview1 that this package gives.
const (
	eSUCCESS     errno = 0
	e2BIG        errno = 1
	eACCES       errno = 2
	eAGAIN       errno = 6
	eBADF        errno = 8
	eBUSY        errno = 10
	eDQUOT       errno = 19
	eEXIST       errno = 20
	eFAULT       errno = 21
	eFBIG        errno = 22
	eILSEQ       errno = 25
	eINTR        errno = 27
	eINVAL       errno = 28
	eIO          errno = 29
	eISDIR       errno = 31
	eLOOP        errno = 32
	eMFILE       errno = 33
	eMLINK       errno = 34
	eNAMETOOLONG errno = 37
	eNFILE       errno = 41
	eNODEV       errno = 43
	eNOENT       errno = 44
	eNOMEM       errno = 48
	eNOSPC       errno = 51
	eNOSYS       errno = 52
	eNOTDIR      errno = 54
	eNOTEMPTY    errno = 55
	eNOTSOCK     errno = 57
	eNOTSUP      errno = 58
	eNXIO        errno = 60
	eOVERFLOW    errno = 61
	ePERM        errno = 63
	ePIPE        errno = 64
	eROFS        errno = 69
	eSPIPE       errno = 70
	eSTALE       errno = 72
	eTXTBSY      errno = 74
	eXDEV        errno = 75
	eNOTCAPABLE  errno = 76
)

func (e errno) Error() string { return fmt.Sprintf("wasi errno %d", uint16(e)) }

// hostErrnos translates the errnos that the host's files give.
var hostErrnos = map[unix.Errno]errno{
	unix.E2BIG:        e2BIG,
	unix.EACCES:       eACCES,
	unix.EAGAIN:       eAGAIN,
	unix.EBADF:        eBADF,
	unix.EBUSY:        eBUSY,
	unix.EDQUOT:       eDQUOT,
	unix.EEXIST:       eEXIST,
	unix.EFBIG:        eFBIG,
	unix.EILSEQ:       eILSEQ,
	unix.EINTR:        eINTR,
	unix.EINVAL:       eINVAL,
	unix.EISDIR:       eISDIR,
	unix.ELOOP:        eLOOP,
	unix.EMFILE:       eMFILE,
	unix.EMLINK:       eMLINK,
	unix.ENAMETOOLONG: eNAMETOOLONG,
	unix.ENFILE:       eNFILE,
	unix.ENODEV:       eNODEV,
	unix.ENOENT:       eNOENT,
	unix.ENOMEM:       eNOMEM,
	unix.ENOSPC:       eNOSPC,
	unix.ENOSYS:       eNOSYS,
	unix.ENOTDIR:      eNOTDIR,
	unix.ENOTEMPTY:    eNOTEMPTY,
	unix.ENOTSUP:      eNOTSUP,
	unix.ENXIO:        eNXIO,
	unix.EOVERFLOW:    eOVERFLOW,
	unix.EPERM:        ePERM,
	unix.EPIPE:        ePIPE,
	unix.EROFS:        eROFS,
	unix.ESPIPE:       eSPIPE,
	unix.ESTALE:       eSTALE,
	unix.ETXTBSY:      eTXTBSY,
	unix.EXDEV:        eXDEV,
}

// errnoOf is how the guest learns of err.
func errnoOf(err error) errno {
	if err == nil {
		return eSUCCESS
	}
	if e, ok := errors.AsType[errno](err); ok {
		return e
	}
	if e, ok := errors.AsType[unix.Errno](err); ok {
		return errnoOfHost(e)
	}
	if _, ok := errors.AsType[*engine.BoundsError](err); ok {
		return eFAULT
	}
	if errors.Is(err, fs.ErrClosed) {
		return eBADF
	}
	return eIO
}

func errnoOfHost(e unix.Errno) errno {
	if translated, ok := hostErrnos[e]; ok {
		return translated
	}
	return eIO
}
