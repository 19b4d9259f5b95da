ªb
dlv_01JSAMPLEwh_1acme"master*e10:Entry.publishBÀö×JÁö×RpausedZìö×bsender-1