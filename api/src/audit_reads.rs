//! Reading the trail is itself recorded, before anything is shown.

use countersign_domain::Timestamp;
use countersign_domain::ids::InstanceId;
use countersign_domain::instance::{
    AuditFilter, Instance, InstanceCommand, RecordAuditExport, RecordAuditRead,
};

use crate::app::App;
use crate::execute::Plan;
use crate::problem::Problem;
use crate::request::Request;

impl App {
    /// Records that the caller reads the trail; the same question again within ten minutes is not.
    pub(crate) async fn record_audit_read(
        &self,
        request: &Request,
        filter: AuditFilter,
    ) -> Result<(), Problem> {
        let reader = InstanceId::of_audit_reader(&request.actor()?);
        self.execute::<Instance>(request, reader, None, |_, moment| {
            let command = RecordAuditRead { filter: filter.clone(), at: moment.at };
            Ok(Plan::new(InstanceCommand::RecordAuditRead(command), self.callers_key(request)))
        })
        .await?;
        Ok(())
    }

    /// Records that the caller takes a copy of the trail.
    pub(crate) async fn record_audit_export(
        &self,
        request: &Request,
        export: impl Fn(Timestamp) -> RecordAuditExport,
    ) -> Result<(), Problem> {
        let reader = InstanceId::of_audit_reader(&request.actor()?);
        self.execute::<Instance>(request, reader, None, |_, moment| {
            let command = InstanceCommand::RecordAuditExport(export(moment.at));
            Ok(Plan::new(command, self.callers_key(request)))
        })
        .await?;
        Ok(())
    }
}
